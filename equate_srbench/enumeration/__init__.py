"""Small formulas one after the other: enumerated, told apart by their values, and matched."""
