"""What a buyer does, who has no key."""

import unittest

from story import Story

PAYS = "4242424242424242"
DECLINED = "4000000000000002"


class Shop(Story):
    def setUp(self):
        super().setUp()
        self.sell("MUG", "Enamel mug", "4.50", 10)
        self.open("/shop")

    def lines(self):
        return self.find("#quantity-MUG").get_attribute("value")

    def test_a_cart_is_filled_kept_paid_for_with_another_card_and_one_order(self):
        put = "[data-put=MUG]"
        self.click(put)
        self.click(put)
        self.until("two clicks are two units", lambda: self.lines() == "2")
        self.tab.refresh()
        self.until("a reload keeps the cart", lambda: self.lines() == "2")
        self.shows("#total", "9.00 EUR")

        self.type("#email", "ada@example.com")
        self.pay(DECLINED)
        self.shows("#verdict", "The card was not taken")
        self.tab.refresh()
        self.shows("#verdict", "Try another one")
        self.pay(PAYS)
        self.shows("#verdict", "It is paid for, and is yours.")

        [order] = self.ask("GET", "/orders")["items"]
        self.assertEqual(("confirmed", "paid"), (order["status"], order["payment_status"]))
        self.assertEqual("9.00", order["total"]["amount"])
        [level] = self.ask("GET", "/stock/MUG")["levels"]
        self.assertEqual((10, 2), (level["on_hand"], level["committed"]))

        kept = self.tab.execute_script("return JSON.stringify([{...localStorage}, {...sessionStorage}])")
        for number in (PAYS, DECLINED):
            self.assertNotIn(number, kept)
        self.assertEqual("", self.find("#card").get_attribute("value"))

        self.click("#new-cart")
        self.shows("#cart-lines", "Nothing is in it yet.")

    def test_who_comes_too_late_is_told_so_and_cannot_pay(self):
        self.click("[data-put=MUG]")
        self.until("it is in the cart", lambda: self.lines() == "1")
        self.take("MUG", 10)
        self.shows("#pay-why", "It is sold out.")
        self.assertFalse(self.find("#pay").is_enabled())
        self.receive("MUG", 1)
        self.until("it can be paid for again", lambda: self.find("#pay").is_enabled())

    def test_a_price_that_has_changed_is_accepted_before_it_is_paid(self):
        self.click("[data-put=MUG]")
        self.shows("#total", "4.50 EUR")
        self.ask("PATCH", "/products/MUG/variants/MUG", {"prices": [{"currency": "EUR", "amount": "5.00"}]})
        self.shows("#cart-lines", "It costs 5.00 EUR now.")
        self.assertFalse(self.find("#pay").is_enabled())
        self.click("#accept-MUG")
        self.shows("#total", "5.00 EUR")
        self.until("it can be paid for", lambda: self.find("#pay").is_enabled())

    def pay(self, card):
        self.until("a card is asked for", lambda: self.find("#card").is_displayed())
        self.type("#card", card)
        self.click("#pay")


if __name__ == "__main__":
    unittest.main()
