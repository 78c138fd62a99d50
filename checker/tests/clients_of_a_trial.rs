//! What clients of a trial did and saw, told as observations, is judged as a history of operations.

use trial_checker::operations::{History, Options, Recorder, Report, check};
use trial_checker::{Belief, EventRef, Observation, Partition, ResetCause};

/// Clients as they are heard, an instant apart.
#[derive(Default)]
struct Clients {
    recorder: Recorder,
    at: EventRef,
}

fn orders() -> Partition {
    Partition::new("orders", 0)
}

impl Clients {
    fn hear(mut self, what: Observation) -> Self {
        self.at = EventRef { id: self.at.id + 1, time: self.at.time + 1_000 };
        self.recorder.observe(self.at, &what).expect("it is short");
        self
    }
    fn send(self, record: u64) -> Self {
        self.hear(Observation::SendInvoked { record, producer: 1, partition: orders() })
    }
    fn told(self, record: u64, belief: Belief) -> Self {
        self.hear(Observation::SendSettled { record, belief, attempts: 1 })
    }
    fn acked(self, record: u64, offset: i64) -> Self {
        self.told(record, Belief::Acked { offset: Some(offset) })
    }
    fn read(self, offset: i64, record: u64) -> Self {
        let record = Some(record);
        self.hear(Observation::Read { consumer: 1, partition: orders(), offset, leader_epoch: 0, record })
    }
    fn reset(self, to: i64) -> Self {
        self.hear(Observation::PositionReset { consumer: 1, partition: orders(), to, cause: ResetCause::Other })
    }
    fn final_read(self, records: &[(i64, u64)]) -> Self {
        records.iter().fold(self, |clients, &(offset, record)| {
            let record = Some(record);
            clients.hear(Observation::FinalRead { partition: orders(), offset, leader_epoch: 0, record })
        })
    }
    fn history(self) -> History {
        self.recorder.finish(self.at).expect("it is short")
    }
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.groups.iter().map(|group| group.code).collect()
}

fn three() -> Clients {
    // Two sends are under way at once.
    Clients::default().send(0).send(1).acked(0, 0).send(2).acked(1, 1).acked(2, 2)
}

#[test]
fn a_healthy_trial_is_healthy() {
    let history =
        three().read(0, 0).read(1, 1).reset(1).read(1, 1).read(2, 2).final_read(&[(0, 0), (1, 1), (2, 2)]).history();
    let report = check(&history, Options::default());
    assert_eq!((codes(&report), report.valid), (vec![], true));
    assert_eq!((report.counters["acked_sends"], report.counters["acked_delivered_more"]), (3, 3));
}

#[test]
fn each_kind_of_trouble_is_told_by_its_name() {
    let verdict = |clients: Clients| codes(&check(&clients.history(), Options::default()));
    assert_eq!(verdict(three().read(0, 0).read(2, 2).read(1, 1)), ["nonmonotonic-poll", "poll-skip"]);
    assert_eq!(verdict(three().final_read(&[(0, 0), (2, 2)])), ["poll-skip", "lost-write", "unseen"]);
    let unknown = Clients::default().send(0).told(0, Belief::Unknown).send(1).acked(1, 0);
    assert_eq!(verdict(unknown.final_read(&[(0, 1)])), Vec::<&str>::new());
    let failed = Clients::default().send(0).told(0, Belief::Failed).send(1).acked(1, 1);
    assert_eq!(verdict(failed.final_read(&[(0, 0), (1, 1)])), ["g1a"]);
    // Both were under way: order is promised to the producer.
    let turned = Clients::default().send(0).send(1).acked(1, 0).acked(0, 1);
    assert_eq!(verdict(turned.final_read(&[(0, 1), (1, 0)])), ["nonmonotonic-send"]);
}
