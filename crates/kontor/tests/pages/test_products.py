"""What the list of products shows while somebody looks at it."""

import unittest

from story import Story


class Products(Story):
    def test_a_number_changes_under_the_eyes_of_whoever_looks(self):
        self.sell("MUG", "Enamel mug", "4.50", 10)
        self.open("/")
        row = "[data-row=MUG]"
        self.shows(f"{row} [data-field=available]", "10")
        self.receive("MUG", 5)
        self.shows(f"{row} [data-field=available]", "15")
        self.assertIn("changed", self.find(f"{row} [data-field=available]").get_attribute("class"))

    def test_a_bar_code_scanner_types_a_sku_and_enter_and_is_at_the_product(self):
        self.sell("MUG", "Enamel mug", "4.50", 10)
        self.open("/")
        self.type("#q", "MUG\n")
        self.until("the product is not opened", lambda: "/p/MUG" in self.tab.current_url)
        self.shows("h1", "Enamel mug")


if __name__ == "__main__":
    unittest.main()
