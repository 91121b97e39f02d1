"""Three tables that come with the package; ``reading`` loads tables from files.

``README.md`` in this folder describes the tables and their sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ShippedTable:
    """A table that comes with the package.

    Attributes
    ----------
    name : str
        What ``equate fit`` takes.
    target : str
        Column to predict.
    about : str
        One line: columns, units, source.
    """

    name: str
    target: str
    about: str

    @property
    def path(self) -> Path:
        """Path of the CSV file."""
        return Path(str(files(__name__) / f"{self.name}.csv"))


SHIPPED = {
    table.name: table
    for table in (
        ShippedTable(
            "kepler",
            "period",
            "the 6 planets Kepler knew: distance (au), period (years); JPL mean elements",
        ),
        ShippedTable(
            "hubble",
            "velocity",
            "24 nebulae: distance (Mpc), velocity (km/s); Hubble 1929, table 1",
        ),
        ShippedTable(
            "steam",
            "pressure",
            "41 states: temperature (K), saturation pressure of water (kPa); Wagner and Pruss 1993",
        ),
    )
}
