//! A bank in memory: what it has set aside, paid out and given back, and what it has answered under which key.

use std::collections::BTreeMap;

use kontor_core::id::PaymentId;
use kontor_core::money::{Currency, Money};
use kontor_core::payment::call::{CallName, MethodToken, Operation, Outcome, ProviderObject};
use kontor_core::text::Reason;

use crate::simulated::token::{Behavior, behavior};
use crate::words;

/// Something that the bank is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) name: CallName,
    pub(crate) deed: Deed,
    /// All that was asked, as a text: the same key with another one is a mistake of the caller.
    pub(crate) print: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Authorize { money: Money, method: MethodToken },
    Capture { object: ProviderObject, money: Money },
    Void { object: ProviderObject },
    Refund { object: ProviderObject, money: Money },
}

/// What the bank says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Done {
        object: ProviderObject,
    },
    /// It was asked to do what somebody else had asked before; it is not done again.
    WasDone {
        object: ProviderObject,
    },
    Declined {
        object: Option<ProviderObject>,
        reason: Reason,
    },
    Refused {
        reason: Reason,
    },
    /// The key is known, and something else was asked with it.
    KeyReused,
}

/// What has been done for one payment, with how often: each of these is at most one for a capture that is done
/// once, whatever was asked how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// Minor units that were set aside.
    pub authorized: i64,
    /// Of them, paid out.
    pub captured: i64,
    /// Of what was set aside, given up.
    pub voided: i64,
    /// Of what was paid out, given back.
    pub refunded: i64,
    /// How often something was set aside.
    pub authorizations: u32,
    /// How often something was paid out.
    pub captures: u32,
    /// How often something was given up.
    pub voids: u32,
    /// How often something was given back.
    pub refunds: u32,
}

impl Line {
    /// Minor units that are set aside, and neither paid out nor given up.
    pub fn held(&self) -> i64 {
        self.authorized - self.captured - self.voided
    }
}

#[derive(Debug, Default)]
pub(crate) struct Bank {
    /// By the bank's own id.
    intents: BTreeMap<String, Intent>,
    answers: BTreeMap<String, Kept>,
    pub(crate) key_lifetime_ms: u64,
    /// See [`Simulated::adopting`](super::Simulated::adopting).
    pub(crate) adopts: bool,
}

/// One authorization and what has become of it.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub(crate) made_by: CallName,
    pub(crate) money: Money,
    pub(crate) declined: Option<Reason>,
    /// How much, and by which call.
    pub(crate) captured: Option<(i64, CallName)>,
    pub(crate) is_voided: bool,
    pub(crate) refunds: Vec<(CallName, i64)>,
}

#[derive(Debug)]
struct Kept {
    print: String,
    at_ms: u64,
    said: Said,
}

impl Bank {
    pub(crate) fn new(key_lifetime_ms: u64) -> Self {
        Self { key_lifetime_ms, ..Self::default() }
    }

    /// Does what is asked, unless it has been done under this key. Answers too whether this was the first time.
    pub(crate) fn serve(&mut self, now_ms: u64, ask: &Ask, declines: bool) -> (Said, bool) {
        let key = ask.name.to_string();
        if let Some(kept) = self.answers.get(&key).filter(|kept| now_ms < kept.at_ms + self.key_lifetime_ms) {
            let said = if kept.print == ask.print { kept.said.clone() } else { Said::KeyReused };
            return (said, false);
        }
        let said = self.act(ask, declines);
        self.answers.insert(key, Kept { print: ask.print.clone(), at_ms: now_ms, said: said.clone() });
        (said, true)
    }

    fn act(&mut self, ask: &Ask, declines: bool) -> Said {
        let refused = |words: &str| Said::Refused { reason: words::reason(words) };
        let (object, money) = match &ask.deed {
            Deed::Authorize { money, method } => return self.authorize(ask.name, *money, method, declines),
            Deed::Capture { object, money } | Deed::Refund { object, money } => (object, Some(*money)),
            Deed::Void { object } => (object, None),
        };
        if self.adopts && !self.intents.contains_key(object.as_str()) {
            self.adopt(object.as_str(), matches!(ask.deed, Deed::Refund { .. }));
        }
        let Some(intent) = self.intents.get_mut(object.as_str()) else {
            return refused(&format!("No such payment_intent: '{object}'"));
        };
        if money.is_some_and(|money| money.currency != intent.money.currency || money.amount <= 0) {
            return refused("The amount is not one of this payment's currency.");
        }
        if declines {
            return Said::Declined { object: Some(object.clone()), reason: words::reason(DECLINED) };
        }
        let amount = money.map_or(0, |money| money.amount);
        match ask.deed {
            Deed::Capture { .. } if intent.captured.is_some() => return Said::WasDone { object: object.clone() },
            Deed::Void { .. } if intent.is_voided => return Said::WasDone { object: object.clone() },
            Deed::Capture { .. } | Deed::Void { .. }
                if intent.is_voided || intent.captured.is_some() || intent.declined.is_some() =>
            {
                return refused("The payment's status does not allow this.");
            }
            Deed::Capture { .. } if amount > intent.money.amount => {
                return refused("The amount is greater than what was set aside.");
            }
            Deed::Refund { .. } if amount > intent.refundable() => {
                return refused("The amount is greater than what was paid out and not given back.");
            }
            Deed::Capture { .. } => intent.captured = Some((amount, ask.name)),
            Deed::Refund { .. } => intent.refunds.push((ask.name, amount)),
            Deed::Void { .. } | Deed::Authorize { .. } => intent.is_voided = true,
        }
        Said::Done { object: object.clone() }
    }

    fn authorize(&mut self, name: CallName, money: Money, method: &MethodToken, declines: bool) -> Said {
        let refused = |words: &str| Said::Refused { reason: words::reason(words) };
        let Some(behavior) = behavior(method) else {
            return refused(&format!("No such payment_method: '{method}'"));
        };
        if money.amount <= 0 {
            return refused("The amount must be greater than 0.");
        }
        let declined = match behavior {
            Behavior::InsufficientFunds => Some("Your card has insufficient funds. (insufficient_funds)"),
            Behavior::Declines => Some(DECLINED),
            _ if declines => Some(DECLINED),
            _ => None,
        };
        let declined = declined.map(words::reason);
        let mut object = object_id(name, money);
        // A forgotten key is taken for another one.
        while self.intents.contains_key(&object) {
            object.push_str(".again");
        }
        let intent = Intent {
            made_by: name,
            money,
            declined: declined.clone(),
            captured: None,
            is_voided: false,
            refunds: Vec::new(),
        };
        self.intents.insert(object.clone(), intent);
        let object = ProviderObject::parse(object).expect("names of calls are short");
        match declined {
            Some(reason) => Said::Declined { object: Some(object), reason },
            None => Said::Done { object },
        }
    }

    /// Takes what an id says for true. What is to be given back has been paid out.
    fn adopt(&mut self, object: &str, is_captured: bool) {
        let Some((made_by, money)) = read_object_id(object) else { return };
        let capture = CallName { operation: Operation::Capture, ..made_by };
        let intent = Intent {
            made_by,
            money,
            declined: None,
            captured: is_captured.then_some((money.amount, capture)),
            is_voided: false,
            refunds: Vec::new(),
        };
        self.intents.insert(object.to_owned(), intent);
    }

    /// What became of a call, by what has been done. `None` if it has not been done.
    pub(crate) fn find(&self, name: CallName, object: Option<&ProviderObject>) -> Option<Outcome> {
        let (id, intent) = match (name.operation, object) {
            (Operation::Authorize, _) => self.intents.iter().find(|(_, intent)| intent.made_by == name)?,
            (_, object) => self.intents.get_key_value(object?.as_str())?,
        };
        let done = || Some(Outcome::Done { object: ProviderObject::parse(id.as_str()).expect("an id of the bank") });
        let refused = |words: &str| Some(Outcome::Refused { reason: words::reason(words) });
        match name.operation {
            Operation::Authorize => match &intent.declined {
                Some(reason) => Some(Outcome::Declined { reason: reason.clone() }),
                None => done(),
            },
            Operation::Capture if intent.captured.is_some() => done(),
            Operation::Void if intent.is_voided => done(),
            Operation::Capture if intent.is_voided => refused("the payment is canceled"),
            Operation::Void if intent.captured.is_some() => refused("the payment is succeeded"),
            Operation::Capture | Operation::Void => None,
            Operation::Refund => intent.refunds.iter().any(|(made_by, _)| *made_by == name).then(done)?,
        }
    }

    pub(crate) fn ledger(&self) -> BTreeMap<PaymentId, Line> {
        let mut ledger: BTreeMap<PaymentId, Line> = BTreeMap::new();
        for intent in self.intents.values().filter(|intent| intent.declined.is_none()) {
            let line = ledger.entry(intent.made_by.payment).or_default();
            line.authorized += intent.money.amount;
            line.authorizations += 1;
            if let Some((amount, _)) = intent.captured {
                line.captured += amount;
                line.captures += 1;
            }
            // A capture of less gives up the rest.
            line.voided += match intent.captured {
                Some((amount, _)) => intent.money.amount - amount,
                None if intent.is_voided => intent.money.amount,
                None => 0,
            };
            line.voids += u32::from(intent.is_voided);
            for (_, amount) in &intent.refunds {
                line.refunded += amount;
                line.refunds += 1;
            }
        }
        ledger
    }
}

#[cfg(feature = "fake")]
impl Bank {
    pub(crate) fn intent(&self, object: &str) -> Option<&Intent> {
        self.intents.get(object)
    }

    pub(crate) fn intents(&self) -> impl Iterator<Item = (&str, &Intent)> {
        self.intents.iter().map(|(id, intent)| (id.as_str(), intent))
    }
}

impl Intent {
    fn refundable(&self) -> i64 {
        let captured = self.captured.map_or(0, |(amount, _)| amount);
        captured - self.refunds.iter().map(|(_, amount)| amount).sum::<i64>()
    }
}

impl Said {
    /// What a caller learns from it; `None` if it is a mistake that says nothing about the call.
    pub(crate) fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Done { object } | Self::WasDone { object } => Some(Outcome::Done { object }),
            Self::Declined { reason, .. } => Some(Outcome::Declined { reason }),
            Self::Refused { reason } => Some(Outcome::Refused { reason }),
            Self::KeyReused => None,
        }
    }
}

/// `pi_` with what was authorized and by which call, so that no two are alike, also after a start.
fn object_id(name: CallName, money: Money) -> String {
    format!("pi_{name}_{}{}", money.amount, money.currency)
}

fn read_object_id(id: &str) -> Option<(CallName, Money)> {
    let (name, money) = id.trim_end_matches(".again").strip_prefix("pi_")?.rsplit_once('_')?;
    let (amount, code) = money.split_at_checked(money.len().checked_sub(3)?)?;
    let name = CallName::parse(name).filter(|name| name.operation == Operation::Authorize)?;
    let money = Money::new(amount.parse().ok()?, Currency::parse(code).ok()?).ok()?;
    Some((name, money))
}

const DECLINED: &str = "Your card was declined. (generic_decline)";
