//! A hand-played cluster for stories: it keeps small logs and tells the checker what each step would look like.
#![allow(dead_code)]

use std::collections::BTreeMap;

use trial_checker::{
    Belief, Checker, Class, ConsumerSettings, Entry, EventRef, Finding, Observation, Partition, ProducerBatch,
    ProducerSettings, Settings, TopicSettings, Verdict,
};

/// One partition `orders-0` on brokers 1, 2, 3; every record is a batch of its own.
#[derive(Clone)]
pub struct Play {
    checker: Checker,
    ms: u64,
    id: u64,
    pub leader: i32,
    pub epoch: i32,
    partition_epoch: i32,
    pub isr: Vec<i32>,
    pub acks: i16,
    logs: BTreeMap<i32, Vec<(u64, i32)>>,
    lost_power: BTreeMap<i32, usize>,
    offsets: BTreeMap<u64, i64>,
    /// (offset, leader epoch) → the idempotent producer's batch there.
    producers: BTreeMap<(i64, i32), ProducerBatch>,
    broker_epoch: i64,
}

pub fn orders() -> Partition {
    Partition::new("orders", 0)
}

pub fn settings(acks: i16) -> Settings {
    let mut settings = Settings::default();
    settings.topics.insert("orders".into(), TopicSettings { min_insync_replicas: 2, ..Default::default() });
    settings.producers.insert(1, ProducerSettings { acks, idempotent: acks != 0, ..Default::default() });
    settings.consumers.insert(1, ConsumerSettings { manual: true });
    settings
}

pub fn topic(settings: &mut Settings) -> &mut TopicSettings {
    settings.topics.get_mut("orders").unwrap()
}

pub fn producer(settings: &mut Settings) -> &mut ProducerSettings {
    settings.producers.get_mut(&1).unwrap()
}

/// Three brokers in sync, b1 leads in epoch 5, a producer with these acks.
pub fn three_brokers(acks: i16) -> Play {
    Play::new(settings(acks))
}

impl Play {
    pub fn new(settings: Settings) -> Self {
        let acks = settings.producer(1).acks;
        let mut play = Play {
            checker: Checker::new(settings),
            ms: 5_000,
            id: 0,
            leader: 1,
            epoch: 5,
            partition_epoch: 10,
            isr: vec![1, 2, 3],
            acks,
            logs: BTreeMap::from([(1, vec![]), (2, vec![]), (3, vec![])]),
            lost_power: BTreeMap::new(),
            offsets: BTreeMap::new(),
            producers: BTreeMap::new(),
            broker_epoch: 0,
        };
        play.elected(-1, true);
        play.leads(1);
        play
    }

    pub fn at(&mut self, ms: u64) -> &mut Self {
        self.ms = ms;
        self
    }

    pub fn see(&mut self, what: Observation) -> &mut Self {
        self.id += 1;
        self.checker.observe(EventRef { id: self.id, time: self.ms * 1_000_000 }, what);
        self.ms += 1;
        self
    }

    fn elected(&mut self, previous: i32, clean: bool) {
        let (leader, leader_epoch, partition_epoch, isr) =
            (self.leader, self.epoch, self.partition_epoch, self.isr.clone());
        let partition = orders();
        self.see(Observation::LeaderElected { partition, leader, leader_epoch, partition_epoch, isr, previous, clean });
    }

    /// The broker begins to lead in the current epoch.
    pub fn leads(&mut self, broker: i32) -> &mut Self {
        let (leader_epoch, log_end) = (self.epoch, self.logs[&broker].len() as i64);
        self.see(Observation::BecameLeader { broker, partition: orders(), leader_epoch, log_end })
    }

    /// The controller elects it, with these in-sync replicas, and it begins to lead.
    pub fn elect(&mut self, leader: i32, isr: &[i32]) -> &mut Self {
        self.elect_only(leader, isr, true).leads(leader)
    }

    pub fn elect_uncleanly(&mut self, leader: i32) -> &mut Self {
        self.elect_only(leader, &[leader], false).leads(leader)
    }

    /// An administrator's change of the topic's configuration is committed.
    pub fn configure(&mut self, change: impl FnOnce(&mut TopicSettings)) -> &mut Self {
        let mut promised = topic(&mut settings(self.acks)).to_owned();
        change(&mut promised);
        self.see(Observation::TopicSettingsChanged { topic: "orders".into(), settings: promised })
    }

    /// The controller elects it; whether it hears of that is another matter.
    pub fn elect_only(&mut self, leader: i32, isr: &[i32], clean: bool) -> &mut Self {
        let previous = std::mem::replace(&mut self.leader, leader);
        self.epoch += 1;
        self.partition_epoch += 1;
        self.isr = isr.to_vec();
        self.elected(previous, clean);
        self
    }

    pub fn in_sync(&mut self, isr: &[i32]) -> &mut Self {
        self.partition_epoch += 1;
        self.isr = isr.to_vec();
        let (leader_epoch, partition_epoch, isr) = (self.epoch, self.partition_epoch, self.isr.clone());
        self.see(Observation::IsrChanged { partition: orders(), isr, leader_epoch, partition_epoch })
    }

    pub fn given(&mut self, record: u64) -> &mut Self {
        self.see(Observation::SendInvoked { record, producer: 1, partition: orders() })
    }

    /// The leader appends it.
    pub fn append(&mut self, record: u64) -> &mut Self {
        let (leader, epoch) = (self.leader, self.epoch);
        self.append_at(leader, epoch, record)
    }

    pub fn append_at(&mut self, broker: i32, epoch: i32, record: u64) -> &mut Self {
        let offset = self.logs[&broker].len() as i64;
        self.logs.get_mut(&broker).unwrap().push((record, epoch));
        self.offsets.insert(record, offset);
        self.appended(broker, true, vec![entry(offset, epoch, record)])
    }

    /// The leader appends it as an idempotent producer's, of this producer epoch and sequence.
    pub fn append_of(&mut self, record: u64, producer_epoch: i16, sequence: i32) -> &mut Self {
        self.append_batch_of(&[record], producer_epoch, sequence)
    }

    /// The same of several records in one batch. Nobody copies such a one.
    pub fn append_batch_of(&mut self, records: &[u64], producer_epoch: i16, first_sequence: i32) -> &mut Self {
        let (leader, epoch) = (self.leader, self.epoch);
        let first = self.logs[&leader].len() as i64;
        for (offset, record) in (first..).zip(records) {
            self.logs.get_mut(&leader).unwrap().push((*record, epoch));
            self.offsets.insert(*record, offset);
        }
        let more = records.len() as i64 - 1;
        let last_sequence = first_sequence + more as i32;
        let producer = ProducerBatch { id: 1000, epoch: producer_epoch, first_sequence, last_sequence };
        self.producers.insert((first, epoch), producer);
        let batch = entry(first, epoch, records[0]);
        let batch = Entry { last_offset: first + more, records: records.to_vec(), producer: Some(producer), ..batch };
        self.appended(leader, true, vec![batch])
    }

    fn appended(&mut self, broker: i32, as_leader: bool, entries: Vec<Entry>) -> &mut Self {
        self.see(Observation::LogAppended { broker, partition: orders(), as_leader, entries })
    }

    /// Producer to leader.
    pub fn send(&mut self, record: u64) -> &mut Self {
        self.given(record).append(record)
    }

    /// The follower copies all that the leader has, and asks again: the leader knows.
    pub fn fetch(&mut self, replica: i32) -> &mut Self {
        let leader = self.leader;
        self.fetch_only(replica).knows(leader, replica)
    }

    /// The follower's log begins anew where the leader's ends.
    pub fn begin_anew(&mut self, replica: i32) -> &mut Self {
        let all = self.logs[&self.leader].clone();
        let to = all.len() as i64;
        self.logs.insert(replica, all);
        let why = "because its end lies below the leader's log start".to_owned();
        self.see(Observation::LogTruncated { broker: replica, partition: orders(), to, why })
    }

    /// The follower copies all that the leader has.
    pub fn fetch_only(&mut self, replica: i32) -> &mut Self {
        let from = self.logs[&replica].len();
        let news: Vec<(u64, i32)> = self.logs[&self.leader].iter().skip(from).copied().collect();
        let entry = |(n, (record, epoch)): (usize, &(u64, i32))| {
            let offset = (from + n) as i64;
            Entry { producer: self.producers.get(&(offset, *epoch)).copied(), ..entry(offset, *epoch, *record) }
        };
        let entries: Vec<Entry> = news.iter().enumerate().map(entry).collect();
        self.logs.get_mut(&replica).unwrap().extend(news);
        self.appended(replica, false, entries)
    }

    pub fn knows(&mut self, leader: i32, replica: i32) -> &mut Self {
        let log_end = self.logs[&replica].len() as i64;
        self.see(Observation::ReplicaFetched { leader, replica, partition: orders(), log_end })
    }

    /// The leader's high watermark reaches what all in-sync replicas have.
    pub fn commit(&mut self) -> &mut Self {
        let to = self.isr.iter().map(|b| self.logs[b].len()).min().unwrap_or(0) as i64;
        let leader = self.leader;
        self.high_watermark(leader, to)
    }

    pub fn high_watermark(&mut self, broker: i32, to: i64) -> &mut Self {
        let (leader_epoch, legitimate_leader) = (self.epoch, broker == self.leader);
        self.see(Observation::HighWatermarkMoved { broker, partition: orders(), to, leader_epoch, legitimate_leader })
    }

    /// The leader answers, and the producer hears it.
    pub fn ack(&mut self, record: u64) -> &mut Self {
        let (leader, epoch, isr) = (self.leader, self.epoch, self.isr.clone());
        self.ack_by(leader, epoch, &isr, record)
    }

    pub fn ack_by(&mut self, broker: i32, leader_epoch: i32, maximal_isr: &[i32], record: u64) -> &mut Self {
        let (first_offset, acks, maximal_isr) = (self.offsets[&record], self.acks, maximal_isr.to_vec());
        let (partition, last_offset) = (orders(), first_offset);
        let acked = Observation::Acknowledged {
            broker,
            partition,
            first_offset,
            last_offset,
            acks,
            leader_epoch,
            maximal_isr,
            min_insync_replicas: None,
        };
        self.see(acked).told(record, Belief::Acked { offset: Some(first_offset) }, 1)
    }

    pub fn told(&mut self, record: u64, belief: Belief, attempts: u32) -> &mut Self {
        self.see(Observation::SendSettled { record, belief, attempts })
    }

    /// Sent, copied to all others in sync, committed, acknowledged, and known to all.
    pub fn write(&mut self, record: u64) -> &mut Self {
        self.send(record);
        let leader = self.leader;
        let others: Vec<i32> = self.isr.iter().copied().filter(|b| *b != leader).collect();
        for broker in others {
            self.fetch(broker);
        }
        self.commit();
        self.ack(record)
    }

    pub fn crash(&mut self, broker: i32) -> &mut Self {
        self.see(Observation::BrokerCrashed { broker })
    }

    /// It loses power; its disk keeps so many records.
    pub fn lose_power(&mut self, broker: i32, keeps: usize) -> &mut Self {
        let lost = self.logs[&broker].len().saturating_sub(keeps);
        self.lost_power.insert(broker, keeps);
        self.see(Observation::BrokerLostPower { broker, lost_bytes: 100 * lost as u64 })
    }

    /// It comes back with what its disk kept.
    pub fn restart(&mut self, broker: i32) -> &mut Self {
        let log = self.logs.get_mut(&broker).unwrap();
        if let Some(keeps) = self.lost_power.remove(&broker) {
            log.truncate(keeps);
        }
        let log_end = log.len() as i64;
        self.see(Observation::BrokerRestarted { broker, clean: false });
        self.see(Observation::LogLost { broker, partition: orders(), log_end })
    }

    pub fn registered(&mut self, broker: i32) -> &mut Self {
        self.broker_epoch += 1;
        let (broker_epoch, incarnation) = (self.broker_epoch, self.broker_epoch as u64);
        self.see(Observation::BrokerRegistered { broker, broker_epoch, incarnation, fenced: false })
    }

    /// A topic of the same name, with empty logs.
    pub fn created_again(&mut self) -> &mut Self {
        self.logs.values_mut().for_each(Vec::clear);
        (self.leader, self.epoch, self.partition_epoch, self.isr) = (1, 0, 0, vec![1, 2, 3]);
        self.elected(-1, true);
        self.leads(1)
    }

    pub fn truncate(&mut self, broker: i32, to: usize) -> &mut Self {
        self.logs.get_mut(&broker).unwrap().truncate(to);
        let why = "because the leader's history differs from there".to_owned();
        self.see(Observation::LogTruncated { broker, partition: orders(), to: to as i64, why })
    }

    /// The follower drops its log and begins where its leader's begins.
    pub fn begins_anew(&mut self, broker: i32, at: usize) -> &mut Self {
        self.logs.insert(broker, vec![(u64::MAX, -1); at]);
        let why = "because the leader's log starts later".to_owned();
        self.see(Observation::LogTruncated { broker, partition: orders(), to: at as i64, why })
    }

    pub fn follows(&mut self, broker: i32) -> &mut Self {
        let (leader_epoch, log_end) = (self.epoch, self.logs[&broker].len() as i64);
        self.see(Observation::BecameFollower { broker, partition: orders(), leader_epoch, log_end, high_watermark: 0 })
    }

    pub fn read(&mut self, offset: i64, record: impl Into<Option<u64>>) -> &mut Self {
        let record = record.into();
        self.see(Observation::Read { consumer: 1, partition: orders(), offset, leader_epoch: 5, record })
    }

    pub fn final_read(&mut self) -> &mut Self {
        let log = self.logs[&self.leader].clone();
        for (offset, (record, leader_epoch)) in (0i64..).zip(&log) {
            let (leader_epoch, record) = (*leader_epoch, Some(*record));
            self.see(Observation::FinalRead { partition: orders(), offset, leader_epoch, record });
        }
        self.final_end(log.len() as i64, true)
    }

    pub fn final_end(&mut self, log_end: i64, complete: bool) -> &mut Self {
        self.see(Observation::FinalReadEnd { partition: orders(), log_start: 0, log_end, complete })
    }

    pub fn verdict(&mut self) -> Verdict {
        self.checker.clone().finish(self.ms * 1_000_000)
    }

    /// Ends with the final read; the findings as (class, code, rule).
    pub fn judged(&mut self) -> Vec<(Class, &'static str, Option<&'static str>)> {
        kinds(&self.final_read().verdict())
    }
}

pub fn kinds(verdict: &Verdict) -> Vec<(Class, &'static str, Option<&'static str>)> {
    verdict.groups.iter().map(|g| (g.class, g.code, g.rule)).collect()
}

pub fn told(verdict: &Verdict) -> String {
    let findings: Vec<String> = verdict.findings.iter().map(Finding::to_string).collect();
    findings.join("\n")
}

fn entry(offset: i64, epoch: i32, record: u64) -> Entry {
    Entry {
        first_offset: offset,
        last_offset: offset,
        epoch,
        hash: record * 7 + 1,
        records: vec![record],
        producer: None,
    }
}
