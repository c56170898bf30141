-- One row per row of a file: our columns, and the number of the row's first fault (null: none).
select _row, ${columns}, ${fault} as _fault
from (select _row, ${values} from ${source}) as valued
