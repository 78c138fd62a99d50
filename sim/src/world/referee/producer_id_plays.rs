//! Whence does a broker have the ids of its producers? A copy is asked for them, and its questions to the controller are answered.
//!
//! Sources: KIP-730, KIP-360, `KafkaApis.handleInitProducerIdRequest`, `RPCProducerIdManager`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    AllocateProducerIdsResponse, InitProducerIdRequest, ProducerId, RequestKind, ResponseKind,
};
use trial_checker::Word;
use trial_kafka::node::{CallId, ConnId, Effect};
use trial_kafka::protocol::errors::{NONE, code_name};
use trial_kafka::protocol::versions;

use super::Speaker;
use super::broker_copy::Settled;
use super::leader_rehearsal::{Scene, Stage};

const NO_ID: i64 = -1;
const NO_EPOCH: i16 = -1;
/// The ids that the controller gives.
const FIRST: i64 = 1 << 40;
const BLOCK: i64 = 10;
/// The controller is left alone for so long after a refusal (`RPCProducerIdManager.RETRY_BACKOFF_MS`).
const PAUSE_MS: i64 = 50;

/// What a copy says to somebody who wants an id: the id or the error, and the call by which it asks the controller for more.
struct Said {
    answer: Result<i64, i16>,
    asks: Option<(ConnId, CallId)>,
}

pub(super) fn rehearse(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene();
    for (what, id, epoch) in [("for an id with an epoch", NO_ID, 0), ("for another epoch of none", 7, NO_EPOCH)] {
        let Some(said) = ask(&mut scene, id, epoch) else { return };
        let due = Err(ResponseError::InvalidRequest.code());
        scene.says(Word::ProducerIdAnswer, words(said.answer), words(due), what, speaker);
    }
    of_blocks(&mut scene, speaker);
}

fn words(answer: Result<i64, i16>) -> String {
    answer.map_or_else(code_name, |id| format!("producer id {id}"))
}

fn ask(scene: &mut Scene, id: i64, epoch: i16) -> Option<Said> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch);
    let (settled, effects) = scene.copy.ask_and_hear(versions::INIT_PRODUCER_ID, request);
    let Settled::Answered(response) = settled else { return None };
    let ResponseKind::InitProducerId(response) = *response else { return None };
    let answer = if response.error_code == NONE { Ok(response.producer_id.0) } else { Err(response.error_code) };
    let asks = effects.into_iter().find_map(|effect| match effect {
        Effect::Call { conn, call, request, .. } if matches!(*request, RequestKind::AllocateProducerIds(_)) => {
            Some((conn, call))
        }
        _ => None,
    });
    Some(Said { answer, asks })
}

/// A broker that has no ids yet, and whose controller is asked for some now.
fn of_blocks(scene: &mut Scene, speaker: &mut Speaker<'_>) {
    let none_yet = Err(ResponseError::CoordinatorLoadInProgress.code());
    let mut next = |scene: &mut Scene, what: &str, due: Result<i64, i16>, asks: bool| {
        let said = ask(scene, NO_ID, NO_EPOCH)?;
        let both = |answer, asks: bool| format!("{}, and asks the controller: {asks}", words(answer));
        let is_so = said.answer == due && said.asks.is_some() == asks;
        scene.says(Word::ProducerIdAnswer, both(said.answer, said.asks.is_some()), both(due, asks), what, speaker);
        is_so.then_some(said.asks)
    };
    let Some(Said { answer: Err(error), asks }) = ask(scene, NO_ID, NO_EPOCH) else { return };
    if Err(error) != none_yet {
        next(scene, "for an id, where it has none", none_yet, false);
        return;
    }
    // Where it has asked before, or knows no controller, there is nothing more to be seen.
    let Some(first) = asks else { return };
    let mut play = || -> Option<()> {
        next(scene, "for an id, while it asks the controller", none_yet, false)?;
        give(scene, first, |answer| answer.error_code = ResponseError::StaleBrokerEpoch.code());
        next(scene, "for an id, after the controller has refused it some", none_yet, false)?;
        scene.copy.wait(PAUSE_MS + 1);
        let second = next(scene, "for an id, some time after that", none_yet, true)??;
        let block = |answer: &mut AllocateProducerIdsResponse| {
            (answer.producer_id_start, answer.producer_id_len) = (ProducerId(FIRST), BLOCK as i32);
        };
        give(scene, second, block);
        for id in FIRST..FIRST + BLOCK - 1 {
            next(scene, "for an id", Ok(id), false)?;
        }
        let third = next(scene, "for an id, when most are given", Ok(FIRST + BLOCK - 1), true)??;
        give(scene, third, block);
        next(scene, "for an id, after the controller has given the same again", none_yet, false)?;
        Some(())
    };
    play();
}

fn give(scene: &mut Scene, (conn, call): (ConnId, CallId), change: impl FnOnce(&mut AllocateProducerIdsResponse)) {
    let mut answer = AllocateProducerIdsResponse::default();
    change(&mut answer);
    scene.copy.respond(conn, call, answer.into());
}
