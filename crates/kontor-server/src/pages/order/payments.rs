//! The payments of an order: what was asked of the provider, what it said, and what waits for somebody.

use kontor_api::path;
use kontor_api::payment::Payment as Shown;
use kontor_core::order::OrderStatus;
use kontor_core::payment::record::{Payment, PaymentStatus};
use maud::{Markup, html};

use super::super::show;
use super::Page;
use super::actions::{Action, amount_field};

pub(super) fn all(page: &Page<'_>) -> Markup {
    let known = page.now.payments.iter().zip(&page.shown.payments);
    html! {
        h2 { "Payments" }
        @if page.is_elsewhere() {
            p.none { "Site " (page.now.site) " alone knows them." }
        } @else if page.shown.payments.is_empty() {
            p.none { "Nothing was paid, and nobody was asked." }
        }
        @for ((_, payment), shown) in known { (one(page, payment, shown)) }
    }
}

fn one(page: &Page<'_>, payment: &Payment, shown: &Shown) -> Markup {
    let number = shown.id.rsplit('_').next().unwrap_or_default();
    html! {
        section.payment data-row=(shown.id) {
            h3 { "Payment " (number) ": " span data-field="status" { (show::words(payment.status.word())) } }
            dl.facts {
                div { dt { "To be paid" } dd { (show::money(&shown.amount)) } }
                div { dt { "Paid" } dd data-field="captured" { (show::money(&shown.captured)) } }
                div { dt { "Given back" } dd data-field="refunded" { (show::money(&shown.refunded)) } }
                div { dt { "Paid with" } dd { code { (shown.method) } } }
                @if let Some(object) = &shown.provider_object { div { dt { "At the provider" } dd { code { (object) } } } }
                div { dt { "Begun" } dd { (show::time(shown.created_at)) } }
                div { dt { "Changed" } dd { (show::time(shown.updated_at)) } }
                @if let Some(reason) = &shown.reason {
                    div { dt { "The provider said" } dd.bad data-field="reason" { (reason) } }
                }
            }
            @if let (Some(pending), Some(call)) = (&shown.pending, &payment.pending) {
                p.note.bad[pending.parked.is_some()] data-field="pending" {
                    @match &pending.parked {
                        Some(why) => { "Parked: nobody asks the provider any more to " (call.operation.word()) " " (show::money(&pending.amount))
                            " until somebody has looked. " b { (why) } },
                        None => { "The provider is being asked to " (call.operation.word()) " " (show::money(&pending.amount)) "." },
                    }
                    " Call " (pending.attempt) ", since " (show::time(pending.since)) "."
                }
            }
            div.actions {
                (capture(page, payment, shown, number))
                (resume(page, payment, shown, number))
            }
        }
    }
}

/// Why something else than what is asked must wait.
pub(super) fn is_asked(payment: &Payment) -> Option<String> {
    let pending = payment.pending.as_ref()?;
    Some(match &pending.parked {
        None => format!("The provider is being asked to {}: one thing at a time.", pending.operation.word()),
        Some(_) => format!("The call to {} is parked: resume that first.", pending.operation.word()),
    })
}

fn capture(page: &Page<'_>, payment: &Payment, shown: &Shown, number: &str) -> Markup {
    let why = match payment.status {
        _ if page.now.order.status == OrderStatus::Canceled => Some("The order was canceled.".into()),
        PaymentStatus::Authorized => is_asked(payment),
        PaymentStatus::Pending => Some("The provider has set nothing aside yet.".into()),
        PaymentStatus::Captured => Some("It was paid out.".into()),
        PaymentStatus::Uncaptured | PaymentStatus::Voided | PaymentStatus::Failed => {
            Some("Nothing is set aside any more.".into())
        }
    };
    let id = format!("capture-{number}");
    Action {
        id: &id,
        word: "Capture",
        path: path::with(path::CAPTURE_PAYMENT, &[&shown.id]),
        done: "The provider is asked to pay it out.",
        why_not: why,
    }
    .show(html! { (amount_field(&id, "How much", &shown.amount, "all of it; what is left is given up")) })
}

fn resume(page: &Page<'_>, payment: &Payment, shown: &Shown, number: &str) -> Markup {
    let is_over = payment.status == PaymentStatus::Uncaptured || page.now.order.status == OrderStatus::Canceled;
    let is_left = matches!(payment.status, PaymentStatus::Authorized | PaymentStatus::Uncaptured)
        || payment.status == PaymentStatus::Captured && payment.captured > payment.refunded;
    let why = match &payment.pending {
        Some(pending) if pending.parked.is_some() => None,
        Some(_) => Some("The call is being made.".to_owned()),
        None if is_over && is_left => None,
        None => Some("No call is parked.".to_owned()),
    };
    let id = format!("resume-{number}");
    Action {
        id: &id,
        word: "Resume",
        path: path::with(path::RESUME_PAYMENT, &[&shown.id]),
        done: "The provider is asked again.",
        why_not: why,
    }
    .show(html! {})
}
