//! When a change counts: in the log in the first quarter of the epoch before the one that it is for.
use types::{EpochRecord, Slot};

/// The slots in which a change of this EPOCH counts.
pub(super) fn window(record: &EpochRecord) -> (Slot, Slot) {
    let schedule = record.schedule();
    let begin = record.epoch.0.saturating_mul(schedule.slots());
    let quarter = schedule.slots().checked_div(4).unwrap_or(0);
    (schedule.first(record.epoch), Slot(begin.saturating_add(quarter).saturating_sub(1)))
}

/// Whether it can still be entered when this slot is final.
pub(super) fn is_over(record: &EpochRecord, now: Option<Slot>) -> bool {
    now.is_some_and(|now| now >= window(record).1)
}

/// The window in words.
pub(super) fn hint(record: &EpochRecord, now: Option<Slot>) -> String {
    let (first, last) = window(record);
    let slot_ms = record.params.slot_ms;
    let about = |slots: u64| format!("about {} s", slots.saturating_mul(slot_ms).div_ceil(1_000));
    let state = match now {
        None => "no member says which slot it is".to_owned(),
        Some(now) if now < first => format!("it is slot {now}: opens in {}", about(first.0.saturating_sub(now.0))),
        Some(now) if is_over(record, Some(now)) => {
            let again = record.schedule().announce(record.epoch);
            format!("it is slot {now}: TOO LATE; the next EPOCH comes in slot {again}, propose again then")
        }
        Some(now) => format!("it is slot {now}: {} left", about(last.0.saturating_sub(now.0))),
    };
    format!(
        "counts if it is in the log in slots {first} to {last}, the first quarter of epoch {}; {state}",
        record.epoch
    )
}

#[cfg(test)]
mod tests {
    // Goal: the window is a quarter of the epoch that is changed, and what is said of it fits the slot.
    use super::*;
    use crate::change::tests::epoch;
    use types::Epoch;

    #[test]
    fn the_window_is_the_first_quarter_of_the_epoch() {
        let mut record = epoch();
        (record.params.epoch_slots, record.epoch) = (40, Epoch(0));
        assert_eq!(window(&record), (Slot(1), Slot(9)), "slot 0 is genesis");
        record.epoch = Epoch(2);
        assert_eq!(window(&record), (Slot(80), Slot(89)));
        assert!(!is_over(&record, None) && !is_over(&record, Some(Slot(88))));
        assert!(is_over(&record, Some(Slot(89))), "the last slot of it is final");
    }

    #[test]
    fn the_hint_says_how_long_there_is() {
        let mut record = epoch();
        (record.params.epoch_slots, record.params.slot_ms, record.epoch) = (40, 500, Epoch(2));
        assert!(hint(&record, Some(Slot(76))).ends_with("it is slot 76: opens in about 2 s"));
        assert!(hint(&record, Some(Slot(80))).contains("slots 80 to 89, the first quarter of epoch 2; it is slot 80"));
        assert!(hint(&record, Some(Slot(80))).ends_with("about 5 s left"));
        let late = hint(&record, Some(Slot(95)));
        assert!(late.contains("TOO LATE") && late.contains("slot 109"), "{late}");
        assert!(hint(&record, None).contains("no member says"));
    }
}
