//! 4.1: what a leader knows of its followers.

use super::rules;

rules! {
    /// What a leader remembers of each follower's fetches.
    ReplicaRule: "4.1", "Replica state on the leader";

    "What a fetch says" {
        FetchOffsetIsTheLogEnd: "A follower has everything below the offset of its last fetch.",
            "`Replica.updateFetchStateOrThrow`",
            "broker::tests::leader::acks_all_waits_for_every_member";
        LeaderEndOfTheLastFetchNeverGoesBack: "The leader's log end at the last fetch is kept, and never goes back.",
            "`Replica.updateFetchStateOrThrow`",
            "broker::partition::tests::in_sync::the_leaders_end_at_the_last_fetch_never_goes_back";
        TimeOfTheLastFetchIsKept: "The time of the last fetch is kept.",
            "`Replica.updateFetchStateOrThrow`",
            "broker::partition::tests::in_sync::a_fetch_at_or_beyond_the_leaders_end_is_caught_up_now";
        BrokerEpochOfTheFetchIsKept: "The broker epoch of the last fetch is kept.",
            "KIP-903, `Replica.updateFetchStateOrThrow`",
            "broker::partition::tests::in_sync::a_fetch_at_or_beyond_the_leaders_end_is_caught_up_now";
        AtTheEndIsCaughtUpNow: "A fetch at or beyond the leader's log end: caught up now.",
            "`Replica.updateFetchStateOrThrow`",
            "broker::partition::tests::in_sync::a_fetch_at_or_beyond_the_leaders_end_is_caught_up_now";
        AtTheLastEndWasCaughtUpThen: "A fetch at or beyond the leader's log end as it was at the fetch before: caught up at that fetch.",
            "`Replica.updateFetchStateOrThrow`",
            "broker::partition::tests::in_sync::a_fetch_at_or_beyond_the_leaders_end_is_caught_up_now";
        CaughtUpTimeNeverGoesBack: "The time at which a follower was last caught up never goes back.",
            "`Replica.updateFetchStateOrThrow`",
            "broker::partition::tests::in_sync::a_fetch_at_or_beyond_the_leaders_end_is_caught_up_now";
    }
    "What says nothing" {
        EarlierIncarnationIsRefused: "A fetch with a broker epoch below the one the metadata shows alive: NOT_LEADER_OR_FOLLOWER.",
            "KIP-903, `Replica.updateFetchStateOrThrow`",
            "broker::tests::leader::a_fetch_of_an_earlier_incarnation_is_refused_once_the_new_one_is_alive";
        RefusedFetchDoesNotCount: "A fetch that is answered with an error changes nothing.",
            "`Partition.fetchRecords`",
            "broker::tests::leader::a_fetch_that_was_refused_leaves_no_trace";
    }
    "Caught up" {
        AtTheEndIsCaughtUp: "A follower whose log end is the leader's is caught up, however long ago it asked.",
            "`ReplicaState.isCaughtUp`",
            "broker::partition::tests::in_sync::caught_up_is_at_the_end_or_lately_there";
        LatelyAtTheEndIsCaughtUp: "A follower that was caught up at most replica.lag.time.max.ms ago is caught up.",
            "`ReplicaState.isCaughtUp`",
            "broker::partition::tests::in_sync::caught_up_is_at_the_end_or_lately_there";
    }
    "A new leader epoch, another assignment" {
        LeaderElectedAgainKeepsPositions: "A leader elected again keeps log end and broker epoch of its followers.",
            "`Replica.resetReplicaState`",
            "broker::partition::tests::registration::a_leader_elected_again_keeps_what_it_knows_and_only_times_anew";
        MembersAreTimedAnew: "Who is in the ISR counts as caught up when the reign begins.",
            "`Replica.resetReplicaState`",
            "broker::partition::tests::registration::a_new_leader_forgets_its_followers_and_times_the_members";
        OthersAreNotCaughtUp: "Who is not in the ISR counts as never caught up when the reign begins.",
            "`Replica.resetReplicaState`",
            "broker::partition::tests::registration::a_leader_elected_again_keeps_what_it_knows_and_only_times_anew";
        RemovedReplicaIsForgotten: "A replica that is no longer assigned is forgotten.",
            "`Partition.updateAssignmentAndIsr`",
            "broker::partition::tests::registration::the_same_reign_goes_on_through_isr_and_assignment";
    }
}
