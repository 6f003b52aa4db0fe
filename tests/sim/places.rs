//! Where members are, and how far from each other.
use crate::world::Report;
use consensus::testing::Link;
use sequencer::Timings;
use std::time::Duration;

/// A network's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// 2 ms between any two.
    Lan,
    /// Member i in region i modulo 5.
    Wan,
}

pub(crate) const REGIONS: [&str; 5] = ["us-east", "us-west", "eu-west", "ap-southeast", "sa-east"];

/// Round trips in ms: typical public inter-region RTTs of cloud providers (us-east, us-west, eu-west, ap-southeast,
/// sa-east), rounded to 5 ms.
const ROUND_TRIPS: [[u64; 5]; 5] = [
    [2, 65, 75, 220, 115],
    [65, 2, 140, 170, 175],
    [75, 140, 2, 175, 185],
    [220, 170, 175, 2, 325],
    [115, 175, 185, 325, 2],
];

pub(crate) fn region(member: usize) -> usize {
    member % REGIONS.len()
}

/// A row for docs/src/benchmarks.md: median from own close to own opening, ms.
pub(crate) fn print_medians(n: u16, report: &Report) {
    let mut row = format!("| {n} |");
    for here in 0..REGIONS.len() {
        let of_region = report.opening_ms.iter().filter(|(member, _)| region(*member) == here);
        let mut times: Vec<u64> = of_region.map(|(_, ms)| *ms).collect();
        times.sort_unstable();
        row += &times.get(times.len() / 2).map_or(" - |".to_owned(), |median| format!(" {median} |"));
    }
    println!("close to opened, n, {}: {row} {} slots, {} empty", REGIONS.join(", "), report.slots, report.empty);
}

impl Place {
    pub(crate) fn slot_ms(self) -> u64 {
        match self {
            Self::Lan => 500,
            Self::Wan => 1_500,
        }
    }

    /// engine.md section 10, rows LAN and WAN.
    pub(crate) fn timings(self) -> Timings {
        let of_slot = Timings::for_slot(self.slot_ms());
        match self {
            Self::Lan => Timings { list_grace: 30, ..of_slot },
            Self::Wan => of_slot,
        }
    }

    pub(crate) fn link(self, from: usize, to: usize, loss_percent: u64) -> Link {
        let one_way = match self {
            Self::Lan => Duration::from_millis(2),
            Self::Wan => Duration::from_millis(ROUND_TRIPS[region(from)][region(to)]) / 2,
        };
        Link { latency: one_way, jitter: one_way / 10, loss_percent }
    }
}
