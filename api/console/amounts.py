"""Amounts of credits as people read them. Pure."""

from decimal import Decimal


def show_amount(number: Decimal) -> str:
    """All of its digits up to the second behind the point."""
    text = f"{number:,.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
