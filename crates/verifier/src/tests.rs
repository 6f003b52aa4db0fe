// Goal: VER-1 to VER-4. Method: logs that a network of four has written with real keys (`testing::World`), then lies.
use crate::testing::{Draft, World};
use std::vec;

#[test]
fn an_honest_log_has_no_findings() {
    let mut world = World::new(1);
    for payer in 0..3 {
        world.submit(Draft::of(payer));
    }
    world.slot();
    world.submit(Draft::of(0));
    world.slot();
    let report = world.audit();
    assert_eq!(report.findings, vec![]);
    assert_eq!(report.exit(), 0);
}
