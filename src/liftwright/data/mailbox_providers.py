"""Public mailbox providers, whose customers have nothing to do with each other.

Many clicks at once from one company's domain are its mail scanner's. Customers of one public
provider may well click at the same moment.
"""

from __future__ import annotations

# Providers with a domain in many countries, such as yahoo.co.uk.
BRANDS = (
    *("yahoo", "ymail", "hotmail", "outlook", "live", "msn", "gmail", "googlemail", "gmx"),
    *("icloud", "yandex", "mail", "aol", "protonmail", "proton", "zoho", "tutanota", "tuta"),
)
DOMAINS = (
    *("me.com", "mac.com", "pm.me", "rocketmail.com", "fastmail.com", "fastmail.fm", "hey.com"),
    *("hushmail.com", "mailbox.org", "posteo.de", "posteo.net", "inbox.com", "inbox.lv"),
    *("comcast.net", "verizon.net", "att.net", "sbcglobal.net", "bellsouth.net", "cox.net"),
    *(
        "charter.net",
        "earthlink.net",
        "juno.com",
        "optonline.net",
        "frontier.com",
        "roadrunner.com",
    ),
    *("rogers.com", "shaw.ca", "sympatico.ca", "bell.net", "videotron.ca", "telus.net"),
    *("btinternet.com", "btopenworld.com", "virginmedia.com", "ntlworld.com", "blueyonder.co.uk"),
    *("sky.com", "talktalk.net", "tiscali.co.uk", "plus.net", "o2.co.uk", "eircom.net"),
    *("web.de", "t-online.de", "freenet.de", "arcor.de", "1und1.de", "online.de", "email.de"),
    *("bluewin.ch", "hispeed.ch", "sunrise.ch", "aon.at", "chello.at", "a1.net", "kabsi.at"),
    *("orange.fr", "wanadoo.fr", "free.fr", "laposte.net", "sfr.fr", "neuf.fr", "bbox.fr"),
    *("numericable.fr", "skynet.be", "telenet.be", "proximus.be", "ziggo.nl", "kpnmail.nl"),
    *("planet.nl", "xs4all.nl", "home.nl", "hetnet.nl", "libero.it", "virgilio.it", "alice.it"),
    *("tin.it", "tiscali.it", "fastwebnet.it", "email.it", "inwind.it", "iol.it"),
    *("telefonica.net", "terra.es", "ono.com", "movistar.es", "sapo.pt", "netcabo.pt"),
    *("telia.com", "bredband.net", "comhem.se", "spray.se", "online.no", "jubii.dk", "ofir.dk"),
    *("suomi24.fi", "luukku.com", "wp.pl", "o2.pl", "onet.pl", "op.pl", "interia.pl", "gazeta.pl"),
    *("seznam.cz", "centrum.cz", "email.cz", "azet.sk", "freemail.hu", "citromail.hu", "abv.bg"),
    *("rambler.ru", "bk.ru", "list.ru", "ya.ru", "ukr.net", "i.ua", "otenet.gr", "walla.com"),
    *("qq.com", "163.com", "126.com", "sina.com", "sohu.com", "foxmail.com", "yeah.net"),
    *("naver.com", "daum.net", "hanmail.net", "nate.com", "docomo.ne.jp", "ezweb.ne.jp"),
    *("softbank.ne.jp", "nifty.com", "biglobe.ne.jp", "rediffmail.com", "bigpond.com"),
    *("optusnet.com.au", "iinet.net.au", "xtra.co.nz", "uol.com.br", "bol.com.br", "terra.com.br"),
    *("ig.com.br", "globo.com", "prodigy.net.mx", "telkomsa.net", "mweb.co.za"),
)
