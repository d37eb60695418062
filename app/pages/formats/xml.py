"""Text as XML 1.0 can hold it: names and words of operators may have characters in them that it has no place
for, however they are written, and one of them would make a whole feed or badge unreadable.
"""

import re
from typing import Final

_NOWHERE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    return _NOWHERE.sub("", text)
