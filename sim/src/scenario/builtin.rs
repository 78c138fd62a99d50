//! The scenarios that come with the program.

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../scenarios/", $name, ".toml")))),*]
    };
}

/// Name and text of each, the plain ones first. Pass the text to [`super::parse`] under the file name `NAME.toml`.
pub fn builtin() -> &'static [(&'static str, &'static str)] {
    scenarios![
        "healthy",
        "leader-crash",
        "leader-isolated",
        "slow-follower",
        "rolling-restart",
        "power-loss-one",
        "power-loss-rack",
        "unclean-election",
        "last-in-sync-replica",
        "last-in-sync-replica-elr",
        "unclean-recovery",
        "controller-failover",
        "controller-minority",
        "controller-majority-lost",
        "flapping-voter",
        "one-way-cut-leader",
        "metadata-lag",
        "topic-recreated",
        "disk-swap",
        "old-checkpoints",
        "behind-log-start",
        "retention",
        "slow-disk",
        "clock-jump",
        "chaos",
        "quorum-chaos",
        "zoo-truncate-to-hw",
        "zoo-isr-expand-before-leso",
        "zoo-ack-before-hw",
        "zoo-no-broker-epoch-check",
        "zoo-fenced-joins-isr",
        "zoo-elr-trusts-unclean",
        "zoo-last-replica-standing",
        "zoo-elect-fenced-last-known-leader",
        "zoo-broker-epoch-bump-on-amend",
        "zoo-raft-no-flush",
        "zoo-raft-resume-leader-same-epoch",
        "zoo-raft-commit-old-epoch",
        "zoo-raft-vote-not-persisted",
        "zoo-raft-no-check-quorum",
        "zoo-raft-no-prevote",
        "zoo-raft-truncate-below-hw",
        "zoo-raft-blank-disk-same-id",
        "zoo-leader-callback-before-catchup",
    ]
}
