"""What the seller does with an order, with a key that is typed into the page."""

import unittest

from story import KEY, Story


class Orders(Story):
    def setUp(self):
        super().setUp()
        self.sell("MUG", "Enamel mug", "4.50", 10)
        cart = self.ask("POST", "/carts", {"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 2}]})
        self.order = self.ask("POST", f"/carts/{cart['id']}/checkout", {"payment_method": "pm_card_visa", "wait_s": 10})

    def test_an_order_is_found_shipped_and_partly_given_back(self):
        self.open("/orders")
        self.assertNotIn(self.order["number"], self.text("body"))
        self.sign_in("kon_somebody_elses_key")
        self.shows("#key-error", "This key is not known here.")
        self.sign_in()
        self.shows("main", self.order["number"])

        self.click(f"main [data-row='{self.order['id']}'] a")
        self.click("#ship")
        self.shows("main", "fulfilled")
        self.until("it is not completed", lambda: self.now()["status"] == "completed")

        self.click("#refund-open summary")
        self.type("#refund-amount", "4.50")
        self.click("#refund")
        self.until("nothing was given back", lambda: self.now()["payment_status"] == "partially_refunded")
        self.tab.refresh()
        self.shows("main", "4.50")

    def test_a_key_is_forgotten_when_somebody_signs_out(self):
        self.open("/orders")
        self.sign_in()
        self.shows("main", self.order["number"])
        self.click("[data-sign-out]")
        self.until("the order is still shown", lambda: self.order["number"] not in self.text("main"))
        self.assertNotIn(KEY, self.tab.execute_script("return JSON.stringify({...sessionStorage})"))

    def now(self):
        return self.ask("GET", f"/orders/{self.order['id']}")


if __name__ == "__main__":
    unittest.main()
