//! 4.10, the coordinators of a broker: which groups they have, and how they write and read the log.

use super::rules;

rules! {
    /// Coordinators and the log.
    CoordinatorRule: "4.10 (coordinators)", "Coordinators and `__consumer_offsets`";

    "Who coordinates" {
        OffsetsTopicIsCreated: "Whoever asks for a coordinator has __consumer_offsets created, as offsets.topic.* say, and is told COORDINATOR_NOT_AVAILABLE meanwhile.",
            "`KafkaApis.getCoordinator`, `AutoTopicCreationManager`",
            "broker::tests::groups::who_asks_for_a_coordinator_has_the_topic_created";
        PartitionsAreCountedAtTheStart: "A broker counts the partitions of __consumer_offsets when it starts: what is added later moves no group.",
            "`GroupCoordinatorService.startup`",
            "broker::tests::groups::partitions_that_are_added_later_move_no_group";
        ResigningUnloads: "A coordinator whose broker leads no more forgets its groups, and sends whoever waits to the new one: NOT_COORDINATOR.",
            "`CoordinatorRuntime.scheduleUnloadOperation`",
            "broker::tests::groups::a_coordinator_that_leads_no_more_sends_whoever_waits_away";
    }

    "Loading" {
        ReignGoesOn: "A coordinator that leads on in a new epoch goes on with what it knows.",
            "`CoordinatorRuntime.scheduleLoadOperation`",
            "broker::tests::groups::a_coordinator_that_leads_on_is_not_loaded_again";
        LogIsLoadedInChunks: "The log is loaded in chunks of offsets.load.buffer.size, and meanwhile nobody is served.",
            "`CoordinatorLoaderImpl.doLoad`",
            "broker::tests::groups::a_long_log_is_loaded_in_chunks";
    }

    "Writing" {
        CoordinatorsDoNotAskForMinIsr: "A coordinator appends as with acks=1: below min.insync.replicas its records stand in the log and wait.",
            "`CoordinatorPartitionWriter.append`, KIP-966",
            "broker::tests::groups::below_min_isr_a_commit_is_written_and_times_out";
        HighWatermarkIsHandedOver: "Each high watermark that moves is told to the coordinator.",
            "`CoordinatorRuntime.HighWatermarkListener`",
            "broker::tests::groups::a_commit_is_answered_when_it_is_replicated";
        DeletedTopicsLoseTheirOffsets: "When a topic is deleted, so are the offsets that groups have in it.",
            "`GroupCoordinatorService.onPartitionsDeleted`",
            "broker::tests::groups::offsets_of_a_deleted_topic_are_deleted";
    }

    "Requests" {
        OnlyKnownPartitionsAreCommitted: "An offset of a partition that there is not: UNKNOWN_TOPIC_OR_PARTITION, and the others are committed.",
            "`KafkaApis.handleOffsetCommitRequest`",
            "broker::tests::groups::only_partitions_that_there_are_are_committed";
        SyncNamesItsProtocol: "From version 5 on SyncGroup names protocol type and protocol: INCONSISTENT_GROUP_PROTOCOL.",
            "KIP-559, `SyncGroupRequest.areMandatoryProtocolTypeAndNamePresent`",
            "broker::tests::groups::a_sync_names_its_protocol";
        InternalTopicsAreNotWrittenTo: "A client cannot produce to an internal topic, but for the admin's tools: INVALID_TOPIC_EXCEPTION.",
            "`ReplicaManager.appendToLocalLog`",
            "broker::tests::groups::clients_do_not_write_to_the_offsets_topic";
        InternalTopicsKeepTheirRecords: "DeleteRecords of an internal topic: INVALID_TOPIC_EXCEPTION.",
            "`ReplicaManager.deleteRecordsOnLocalLog`",
            "broker::tests::groups::nobody_deletes_records_of_the_offsets_topic";
    }
}
