//! 4.5: how replication is throttled.

use super::rules;

rules! {
    /// How fast replicas that are not in sync may catch up (KIP-73).
    ThrottleRule: "4.5", "Throttled replication";

    "Who is throttled" {
        OnlyListedReplicas: "Only the replicas that the topic lists are throttled.",
            "KIP-73, `TopicConfigHandler.parseThrottledPartitions`",
            "broker::replication_quota::tests::a_list_names_partitions_and_brokers";
        LeaderDoesNotThrottleMembers: "A leader throttles no member of the ISR.",
            "KIP-73, `ReplicaManager.shouldLeaderThrottle`",
            "broker::tests::throttle::a_leader_sends_nothing_above_its_quota_to_who_is_not_in_sync";
        FollowerInSyncIsNotThrottled: "A follower that has reached the high watermark is not throttled.",
            "KIP-73, `RemoteLeaderEndPoint.shouldFollowerThrottle`",
            "broker::tests::throttle::a_follower_asks_for_nothing_above_its_quota";
    }
    "What happens" {
        LeaderAnswersNothing: "Above leader.replication.throttled.rate a fetch of a throttled replica gets no records of that partition, and waits.",
            "KIP-73, `ReplicaManager.readFromLog`, `DelayedFetch.tryComplete`",
            "broker::tests::throttle::a_leader_sends_nothing_above_its_quota_to_who_is_not_in_sync";
        FollowerAsksNothing: "Above follower.replication.throttled.rate a throttled partition is not fetched.",
            "KIP-73, `RemoteLeaderEndPoint.buildFetch`",
            "broker::tests::throttle::a_follower_asks_for_nothing_above_its_quota";
        RateFallsWithTime: "The rate is that of the last eleven seconds: replication goes on when it has fallen.",
            "`ReplicationQuotaManager`, `SimpleRate`",
            "broker::tests::throttle::a_leader_sends_nothing_above_its_quota_to_who_is_not_in_sync";
    }
}
