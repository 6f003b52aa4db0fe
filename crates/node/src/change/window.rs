//! When a change counts: in the log in the first quarter of an epoch, for the next one (ADR 0005).
use types::{Epoch, EpochRecord, Slot};

/// The first epoch from that of the newest EPOCH on in whose first quarter an entry can still be made when `now` is
/// final.
fn epoch(record: &EpochRecord, now: Option<Slot>) -> Epoch {
    let schedule = record.schedule();
    match now {
        Some(now) if now >= schedule.change_until(record.epoch) => {
            let here = schedule.epoch_of(now).max(record.epoch);
            if now < schedule.change_until(here) { here } else { here.next() }
        }
        _ => record.epoch,
    }
}

/// Whether no slot is left in which a change that is for `until` at the latest would count.
pub(super) fn is_over(record: &EpochRecord, until: Epoch, now: Option<Slot>) -> bool {
    until <= epoch(record, now)
}

/// The slots in words.
pub(super) fn hint(record: &EpochRecord, until: Epoch, now: Option<Slot>) -> String {
    let epoch = epoch(record, now);
    let schedule = record.schedule();
    let (first, last) = (schedule.first(epoch), schedule.change_until(epoch));
    if is_over(record, until, now) {
        return format!("none is left: it may be for epoch {until} at the latest, and that of epoch {epoch} is next");
    }
    let about = |slots: u64| {
        let seconds = slots.saturating_mul(record.params.slot_ms).div_ceil(1_000);
        if seconds < 180 { format!("about {seconds} s") } else { format!("about {} min", seconds / 60) }
    };
    let state = match now {
        None => "no member says which slot it is".to_owned(),
        Some(now) if now < first => format!("it is slot {now}: opens in {}", about(first.0.saturating_sub(now.0))),
        Some(now) => format!("it is slot {now}: {} left", about(last.0.saturating_sub(now.0))),
    };
    let later = if until > epoch.next() {
        format!("; later ones come, up to that of epoch {}", until.prev())
    } else {
        String::new()
    };
    format!("slots {first} to {last}, the first quarter of epoch {epoch}, for epoch {}; {state}{later}", epoch.next())
}

#[cfg(test)]
mod tests {
    // Goal: what is said of the window fits the slot, whether the newest EPOCH has begun or not.
    use super::*;
    use crate::change::tests;

    fn record() -> EpochRecord {
        let mut record = tests::epoch();
        (record.params.epoch_slots, record.params.slot_ms, record.epoch) = (40, 500, Epoch(2));
        record
    }

    #[test]
    fn the_window_is_the_next_first_quarter_with_a_slot_left() {
        let now = |now| epoch(&record(), now);
        for (slot, window) in [(0, 2), (79, 2), (80, 2), (88, 2), (89, 3), (119, 3), (120, 3), (128, 3), (129, 4)] {
            assert_eq!(now(Some(Slot(slot))), Epoch(window), "slot {slot}");
        }
        assert_eq!(now(None), Epoch(2));
        let over = |until, slot| is_over(&record(), Epoch(until), Some(Slot(slot)));
        assert!(over(2, 70) && !over(3, 70) && !over(3, 88) && over(3, 89) && !over(4, 89));
    }

    #[test]
    fn the_hint_says_how_long_there_is() {
        let hint = |until, now| hint(&record(), Epoch(until), now);
        let before = hint(9, Some(Slot(76)));
        assert!(
            before.starts_with("slots 80 to 89, the first quarter of epoch 2, for epoch 3; it is slot 76"),
            "{before}"
        );
        assert!(before.ends_with("opens in about 2 s; later ones come, up to that of epoch 8"), "{before}");
        assert!(hint(3, Some(Slot(80))).ends_with("about 5 s left"), "{}", hint(3, Some(Slot(80))));
        let next = hint(4, Some(Slot(95)));
        assert!(next.starts_with("slots 120 to 129") && next.ends_with("opens in about 13 s"), "{next}");
        assert!(hint(3, Some(Slot(95))).starts_with("none is left: it may be for epoch 3"));
        assert!(hint(9, None).contains("no member says"));
    }
}
