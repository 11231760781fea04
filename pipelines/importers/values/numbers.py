"""Reads numbers as people write them, with decimal points or commas and grouped thousands."""

import re
import unicodedata

GROUP_MARKS = "'’ʼ´`\u066c"
SPACED = re.compile(rf"\d{{1,3}}(?:[ {GROUP_MARKS}]\d{{3}})+(?:[.,]\d+)?")
NUMBER = re.compile(rf"\d+(?:(?: (?=\d{{3}}(?!\d))|[.,{GROUP_MARKS}])\d+)*")


def plain_digits(text: str) -> str:
    """Return a text with the digits 0 to 9, usual spaces and separators, whatever its script."""
    return "".join(_plain(letter) for letter in text)


def _plain(letter: str) -> str:
    if letter.isascii():
        return letter
    digit = unicodedata.decimal(letter, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(letter) == "Zs":
        return " "
    if unicodedata.category(letter) == "Cf":  # marks of direction and the like
        return ""
    return {"\u066b": ".", "，": ",", "．": ".", "−": "-", "－": "-"}.get(letter, letter)


def decimal_mark(number: str) -> str:
    """Return which of `.` and `,` parts the decimals of a number; "" where it does not show."""
    marks = re.sub(r"[^.,]", "", number)
    if not marks or is_ambiguous(number):
        return ""
    if len(set(marks)) == 2:
        return marks[-1]
    if len(marks) > 1:
        return "," if marks[0] == "." else "."
    return marks


def is_ambiguous(number: str) -> bool:
    """Tell whether a number is 1.299 or 1,299: a thousand, or one and a bit."""
    return re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", number) is not None


def amount_of(number: str, decimal: str = "") -> float:
    """Return the value of a number; `decimal` is the mark of decimals where a file tells.

    Without it, a comma before exactly three digits groups thousands and a point does not.
    ValueError where the groups make no sense.
    """
    if any(mark in number for mark in GROUP_MARKS + " "):
        if not SPACED.fullmatch(number):
            raise ValueError(number)
        number = re.sub(rf"[ {GROUP_MARKS}]", "", number)
    if is_ambiguous(number):
        mark = decimal or "."
    elif len(re.findall(r"[.,]", number)) > 1 and re.fullmatch(
        r"\d{1,3}(?:\.\d{3})+\.\d{2}|\d{1,3}(?:,\d{3})+,\d{2}", number
    ):  # one mark for both
        mark = number[-3]
        number = number[:-3].replace(mark, "") + number[-3:]
    else:
        mark = decimal_mark(number) or "."
    whole, _, decimals = number.partition(mark)
    if not re.fullmatch(r"\d*", decimals) or not re.fullmatch(
        r"\d+|\d{1,3}(?:[.,]\d{2,3})*[.,]\d{3}", whole
    ):
        raise ValueError(number)
    return float(f"{re.sub('[.,]', '', whole)}.{decimals or 0}")
