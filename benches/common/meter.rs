//! Named phases, measured over several runs by wall clock and by CPU time of the thread.
use crate::cpu::cpu_now;
use std::time::{Duration, Instant};

/// What a phase is to the member that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Work of every member.
    Own,
    /// Work of the slot's leader instead of [`Role::Own`] "check the block".
    Leader,
    /// A part of the phase above it, measured again by itself.
    Part,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    wall: Duration,
    cpu: Duration,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    role: Role,
    samples: Vec<Sample>,
}

/// Rows in the order in which they were first measured.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    rows: Vec<Row>,
    run: usize,
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn now() -> Instant {
    Instant::now()
}

impl Meter {
    /// Measures `work`; what is measured again under the same name in the same run is added.
    pub(crate) fn time<T>(&mut self, role: Role, name: &'static str, work: impl FnOnce() -> T) -> T {
        let (wall, cpu) = (now(), cpu_now());
        let result = work();
        let (cpu, wall) = (cpu_now().saturating_sub(cpu), wall.elapsed());
        let at = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name, role, samples: Vec::new() });
            self.rows.len() - 1
        });
        if let Some(row) = self.rows.get_mut(at) {
            row.samples.resize(self.run + 1, Sample::default());
            if let Some(sample) = row.samples.last_mut() {
                sample.wall += wall;
                sample.cpu += cpu;
            }
        }
        result
    }

    /// The next run begins.
    pub(crate) fn next_run(&mut self) {
        self.run += 1;
    }

    /// Prints the table, per item of `count`, and the sum of what every member does; returns that sum's median CPU time.
    #[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
    pub(crate) fn print(&self, title: &str, item: &str, count: u32) -> Duration {
        println!("\n{title}: median of {} runs", self.run);
        println!("| phase | CPU ms | CPU us per {item} | wall ms | wall ms, 90 % |\n|---|--:|--:|--:|--:|");
        let line = |name: &str, samples: &[Sample]| {
            let cpu = quantile(samples.iter().map(|s| s.cpu), 50);
            let wall = |percent| ms(quantile(samples.iter().map(|s| s.wall), percent));
            let each = cpu.as_secs_f64() * 1e6 / f64::from(count);
            println!("| {name} | {:.2} | {each:.1} | {:.2} | {:.2} |", ms(cpu), wall(50), wall(90));
            cpu
        };
        let mut sum = vec![Sample::default(); self.run];
        for row in &self.rows {
            match row.role {
                Role::Own => {
                    for (sum, sample) in sum.iter_mut().zip(&row.samples) {
                        sum.wall += sample.wall;
                        sum.cpu += sample.cpu;
                    }
                    line(row.name, &row.samples)
                }
                Role::Leader => line(&format!("leader, instead of the check: {}", row.name), &row.samples),
                Role::Part => line(&format!("- of {}", row.name), &row.samples),
            };
        }
        line("**one member, all of it**", &sum)
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn quantile(samples: impl Iterator<Item = Duration>, percent: usize) -> Duration {
    let mut sorted: Vec<Duration> = samples.collect();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}
