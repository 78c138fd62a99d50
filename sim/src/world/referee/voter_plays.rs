//! Whom does the leader of the metadata quorum let become a voter, and whom does it tell that it goes? Copies of it are
//! asked, answered and stopped.
//!
//! Sources: KIP-595, KIP-853, `AddVoterHandler.handleApiVersionsResponse`, `LeaderState.isReplicaCaughtUp`,
//! `KafkaRaftClient.pollResigned`.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::SupportedFeatureKey;
use kafka_protocol::messages::{ApiVersionsResponse, RequestKind, ResponseKind};
use kafka_protocol::protocol::StrBytes;
use trial_checker::Word;
use trial_kafka::controller::{Controller, QuorumLook, QuorumRole};
use trial_kafka::metadata::voters_record::KRAFT_VERSION_LEVEL;
use trial_kafka::node::{CallId, Command, ConnId, Effect, Input, Now, OpId};
use trial_kafka::protocol::errors::code_name;

use super::rehearsal::Copy;
use super::{Speaker, quorum_questions};

const KRAFT_VERSION: &str = "kraft.version";
/// Longer than any pause before somebody is dialed again, shorter than a stop waits.
const PATIENCE_MS: i64 = 3_000;

/// A node of the quorum in a state that is new.
pub(super) fn rehearse(controller: &Controller, look: &QuorumLook, now: Now, speaker: &mut Speaker<'_>) {
    if look.role != QuorumRole::Leader || look.shuts_down || look.waits_for_disk {
        return;
    }
    let is_settled = look.epoch_start_offset.is_some_and(|start| start < look.high_watermark)
        && look.voters_offset < look.high_watermark
        && !look.changes_voters;
    if is_settled {
        of_additions(controller, look, now, speaker);
    }
    if look.is_voter && look.fetched_voters > 0 {
        of_its_stop(controller, now, speaker);
    }
}

/// A node becomes a voter if it understands the kraft.version in force, and has what the log had.
fn of_additions(controller: &Controller, look: &QuorumLook, now: Now, speaker: &mut Speaker<'_>) {
    const WAITS: &str = "to be committed";
    let refused = |error: ResponseError| code_name(error.code());
    let knows = Some((0, KRAFT_VERSION_LEVEL));
    let stories = [
        ("that knows no kraft.version", None, true, refused(ResponseError::InvalidRequest)),
        ("that knows an older kraft.version", Some((0, 0)), true, refused(ResponseError::InvalidRequest)),
        ("that has nothing yet", knows, false, refused(ResponseError::RequestTimedOut)),
        ("that has everything", knows, true, WAITS.to_string()),
    ];
    for (what, versions, has_all, truth) in stories {
        let mut copy = Copy::of(controller, speaker.slot.disk.view(), now);
        if has_all {
            copy.play_question(&quorum_questions::fetch_of_who_is_added(controller, look));
        }
        let effects = copy.play_question(&quorum_questions::addition(controller, look));
        let Some((conn, call)) = effects.iter().find_map(question_for_versions) else { return };
        let feature = |(least, most): (i16, i16)| {
            let feature = SupportedFeatureKey::default().with_name(StrBytes::from_static_str(KRAFT_VERSION));
            feature.with_min_version(least).with_max_version(most)
        };
        let response =
            ApiVersionsResponse::default().with_supported_features(versions.into_iter().map(feature).collect());
        let effects = copy.play(Input::Response { conn, call, result: Ok(Box::new(response.into())) });
        let said = effects.iter().find_map(answer_to_addition).unwrap_or_else(|| WAITS.to_string());
        if said != truth && copy.controller.look().is_some() {
            let said = format!("{said} (when a copy of it was asked to add a voter {what})");
            speaker.wrong(Word::VotersAnswer, None, said, truth);
        }
    }
}

fn question_for_versions(effect: &Effect) -> Option<(ConnId, CallId)> {
    match effect {
        Effect::Call { conn, call, request, .. } if matches!(**request, RequestKind::ApiVersions(_)) => {
            Some((*conn, *call))
        }
        _ => None,
    }
}

fn answer_to_addition(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Answer { response, .. } => match &**response {
            ResponseKind::AddRaftVoter(response) => Some(code_name(response.error_code)),
            _ => None,
        },
        _ => None,
    }
}

/// Whoever leads and stops says so, so that nobody waits for it.
fn of_its_stop(controller: &Controller, now: Now, speaker: &mut Speaker<'_>) {
    let mut copy = Copy::of(controller, speaker.slot.disk.view(), now);
    let mut effects = copy.play(Input::Command { op: OpId(u64::MAX), command: Command::ShutDown });
    effects.extend(copy.pass(PATIENCE_MS));
    let told: BTreeSet<ConnId> = effects.iter().filter_map(end_of_epoch).collect();
    // A voter that has come back since it was told of this epoch is dialed first.
    let dials = effects.iter().any(|effect| matches!(effect, Effect::Dial { .. }));
    let others = controller.voters().len() - 1;
    if told.is_empty() && !dials && others > 0 {
        let said = "nobody told of the end of its epoch (when a copy of it was asked to stop)".to_string();
        speaker.wrong(Word::QuorumStep, None, said, format!("{others} other voters"));
    }
}

fn end_of_epoch(effect: &Effect) -> Option<ConnId> {
    match effect {
        Effect::Call { conn, request, .. } if matches!(**request, RequestKind::EndQuorumEpoch(_)) => Some(*conn),
        _ => None,
    }
}
