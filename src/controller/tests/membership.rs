//! Stories of a set of voters that changes (KIP-853).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::SupportedFeatureKey;
use kafka_protocol::messages::{
    AddRaftVoterRequest, ApiVersionsResponse, RemoveRaftVoterRequest, RequestKind, ResponseKind, UpdateRaftVoterRequest,
};
use kafka_protocol::messages::{add_raft_voter_request, update_raft_voter_request};
use uuid::Uuid;

use super::cluster::{CLUSTER, Cluster, voter};
use super::quorum_rules::{elect, fetch, fetch_of, vote_request};
use crate::config::BrokerConfig;
use crate::controller::QuorumRole;
use crate::node::ReqId;
use crate::zoo::{Switch, Zoo};

const TIMED_OUT: i16 = 7;

/// A controller besides three voters, all of them up, and one that decides.
fn three_and_a_spare(seed: u64, zoo: Zoo) -> Cluster {
    let mut cluster = Cluster::with_spares(3, 1, &BrokerConfig::default(), seed, zoo);
    cluster.ids().into_iter().for_each(|id| cluster.start(id));
    cluster.run(8_000);
    assert!(cluster.active().is_some(), "somebody decides after eight seconds");
    cluster
}
fn add(cluster: &Cluster, id: i32) -> AddRaftVoterRequest {
    let listener = add_raft_voter_request::Listener::default()
        .with_name("CONTROLLER".into())
        .with_host(format!("c{id}").into())
        .with_port(9093);
    let directory_id = cluster.machines.get(&id).map_or(voter(id).directory_id, |m| m.controller.setup().directory_id);
    AddRaftVoterRequest::default()
        .with_cluster_id(Some(CLUSTER.into()))
        .with_timeout_ms(5_000)
        .with_voter_id(id)
        .with_voter_directory_id(directory_id)
        .with_listeners(vec![listener])
}
fn remove(id: i32) -> RemoveRaftVoterRequest {
    RemoveRaftVoterRequest::default()
        .with_cluster_id(Some(CLUSTER.into()))
        .with_voter_id(id)
        .with_voter_directory_id(voter(id).directory_id)
}
fn update(id: i32, port: u16, epoch: i32) -> UpdateRaftVoterRequest {
    let listener = update_raft_voter_request::Listener::default()
        .with_name("CONTROLLER".into())
        .with_host(format!("c{id}").into())
        .with_port(port);
    UpdateRaftVoterRequest::default()
        .with_cluster_id(Some(CLUSTER.into()))
        .with_current_leader_epoch(epoch)
        .with_voter_id(id)
        .with_voter_directory_id(voter(id).directory_id)
        .with_listeners(vec![listener])
        .with_k_raft_version_feature(
            update_raft_voter_request::KRaftVersionFeature::default().with_max_supported_version(1),
        )
}
/// The error of the answer, if there is one by now.
fn answer(cluster: &mut Cluster, req: ReqId) -> Option<i16> {
    Some(match cluster.answers.remove(&req)? {
        ResponseKind::AddRaftVoter(response) => response.error_code,
        ResponseKind::RemoveRaftVoter(response) => response.error_code,
        ResponseKind::UpdateRaftVoter(response) => response.error_code,
        other => panic!("{other:?}"),
    })
}
/// Asks the one that decides, and waits for the answer.
fn change(cluster: &mut Cluster, request: impl Into<RequestKind>) -> i16 {
    let leader = cluster.active().expect("somebody decides");
    let req = cluster.send(leader, 0, request);
    cluster.run_until(5_000, |cluster| cluster.answers.contains_key(&req));
    answer(cluster, req).expect("it is answered")
}
fn voters_of(cluster: &Cluster, id: i32) -> Vec<i32> {
    cluster.node(id).voters().iter().map(|voter| voter.id).collect()
}
/// The leader, and the two other voters.
fn leader_and_others(cluster: &Cluster) -> (i32, i32, i32) {
    let leader = cluster.active().expect("somebody decides");
    let others: Vec<i32> = (1..=3).filter(|id| *id != leader).collect();
    (leader, others[0], others[1])
}

#[test]
fn a_spare_controller_is_added_and_counts() {
    let mut cluster = three_and_a_spare(1, Zoo::default());
    assert_eq!(cluster.role(4), QuorumRole::Observer);
    let request = add(&cluster, 4);
    assert_eq!(change(&mut cluster, request), 0);
    cluster.run(1_000);
    let (leader, one, other) = leader_and_others(&cluster);
    assert_eq!(cluster.role(4), QuorumRole::Follower { leader });
    for id in cluster.ids() {
        assert_eq!(voters_of(&cluster, id), [1, 2, 3, 4], "for node {id}");
    }
    // Two of four are no majority; with the new voter three are.
    cluster.crash(one);
    cluster.crash(other);
    cluster.run(600);
    let before = cluster.node(leader).high_watermark();
    cluster.run(1_000);
    assert_eq!(cluster.node(leader).high_watermark(), before);
    cluster.start(one);
    cluster.run(1_500);
    assert!(cluster.node(leader).high_watermark() > before || cluster.active() != Some(leader));
    // It is one after a restart too.
    cluster.crash(4);
    cluster.start(4);
    assert_eq!(voters_of(&cluster, 4), [1, 2, 3, 4]);
}

#[test]
fn one_change_comes_after_the_other() {
    let mut cluster = three_and_a_spare(1, Zoo::default());
    let (leader, one, _) = leader_and_others(&cluster);
    // The leader cannot ask the new voter for its versions.
    cluster.cuts.insert((leader, 4));
    let request = add(&cluster, 4);
    let adding = cluster.send(leader, 0, request);
    let removing = cluster.send(leader, 0, remove(one));
    assert_eq!((answer(&mut cluster, adding), answer(&mut cluster, removing)), (None, Some(TIMED_OUT)));
    cluster.run(2_500);
    assert_eq!(answer(&mut cluster, adding), Some(TIMED_OUT));
    assert_eq!(change(&mut cluster, remove(one)), 0);
    cluster.heal();
    cluster.run(5_000);
    assert!(!voters_of(&cluster, 4).contains(&one));
}

#[test]
fn nothing_changes_before_the_epochs_first_commit() {
    for zoo in [Zoo::default(), Zoo::from_iter([Switch::ReconfigBeforeEpochCommit])] {
        let mut cluster = Cluster::with_puppets(zoo);
        elect(&mut cluster);
        let req = cluster.send(1, 0, remove(3));
        if zoo.on(Switch::ReconfigBeforeEpochCommit) {
            assert_eq!(voters_of(&cluster, 1), [1, 2]);
            continue;
        }
        assert_eq!(answer(&mut cluster, req), Some(TIMED_OUT));
        assert_eq!(voters_of(&cluster, 1), [1, 2, 3]);
        // A voter has the epoch's first record: now it may.
        let epoch = cluster.node(1).epoch();
        cluster.run(20);
        fetch(&mut cluster, fetch_of(2, epoch, 1, epoch));
        cluster.send(1, 0, remove(3));
        assert_eq!(voters_of(&cluster, 1), [1, 2]);
    }
}

#[test]
fn nothing_changes_before_the_change_before_is_committed() {
    let mut cluster = three_and_a_spare(1, Zoo::default());
    let (leader, one, other) = leader_and_others(&cluster);
    cluster.isolate(leader);
    let removing = cluster.send(leader, 0, remove(one));
    cluster.run(1_000);
    assert_eq!(answer(&mut cluster, removing), None, "it is not committed");
    cluster.run(1_200);
    // The leader gives the answer up; the record stays in the log, and counts.
    assert_eq!(answer(&mut cluster, removing), Some(TIMED_OUT));
    assert_eq!(cluster.role(leader), QuorumRole::Leader);
    let removing = cluster.send(leader, 0, remove(other));
    assert_eq!(answer(&mut cluster, removing), Some(TIMED_OUT));
    assert_eq!(voters_of(&cluster, leader).len(), 2);
}

#[test]
fn every_refusal_has_its_error() {
    let mut cluster = three_and_a_spare(1, Zoo::default());
    let (leader, one, _) = leader_and_others(&cluster);
    let epoch = cluster.node(leader).epoch();
    let elsewhere = Uuid::from_u128(99);
    let spare = add(&cluster, 4);
    let refused: Vec<(RequestKind, ResponseError)> = vec![
        (add(&cluster, one).into(), ResponseError::DuplicateVoter),
        (add(&cluster, one).with_voter_directory_id(elsewhere).into(), ResponseError::DuplicateVoter),
        (spare.clone().with_voter_directory_id(Uuid::nil()).into(), ResponseError::InvalidRequest),
        (spare.clone().with_voter_id(-1).into(), ResponseError::InvalidRequest),
        (spare.clone().with_listeners(vec![]).into(), ResponseError::InvalidRequest),
        (spare.clone().with_cluster_id(Some("another".into())).into(), ResponseError::InconsistentClusterId),
        (remove(one).with_voter_directory_id(elsewhere).into(), ResponseError::VoterNotFound),
        (remove(4).into(), ResponseError::VoterNotFound),
        (remove(one).with_cluster_id(Some("another".into())).into(), ResponseError::InconsistentClusterId),
        (update(one, 9_094, epoch).with_voter_directory_id(elsewhere).into(), ResponseError::VoterNotFound),
        (update(4, 9_094, epoch).into(), ResponseError::VoterNotFound),
        (update(one, 9_094, epoch).with_listeners(vec![]).into(), ResponseError::InvalidRequest),
        (update(one, 9_094, epoch + 1).into(), ResponseError::UnknownLeaderEpoch),
    ];
    for (request, error) in refused {
        let req = cluster.send(leader, 0, request.clone());
        assert_eq!(answer(&mut cluster, req), Some(error.code()), "{request:?}");
    }
    let req = cluster.send(one, 0, spare);
    assert_eq!(answer(&mut cluster, req), Some(ResponseError::NotLeaderOrFollower.code()));
    assert_eq!(voters_of(&cluster, leader), [1, 2, 3]);
}

#[test]
fn the_last_voter_is_not_removed() {
    let mut cluster = Cluster::started(1, 1, Zoo::default());
    cluster.run(1_000);
    assert_eq!(change(&mut cluster, remove(1)), ResponseError::VoterNotFound.code());
    assert_eq!(cluster.role(1), QuorumRole::Leader);
}

#[test]
fn a_new_voter_must_answer_understand_and_be_caught_up() {
    let mut cluster = Cluster::of(1, 1, Zoo::default());
    cluster.puppets.insert(4);
    cluster.start(1);
    cluster.run(1_000);
    let versions = |max: i16| {
        let range = SupportedFeatureKey::default().with_name("kraft.version".into()).with_max_version(max);
        ApiVersionsResponse::default().with_supported_features(vec![range])
    };
    let try_to_add = |cluster: &mut Cluster, response: ApiVersionsResponse| {
        cluster.run(500);
        let request = add(cluster, 4);
        let req = cluster.send(1, 0, request);
        cluster.run(300);
        cluster.reply(|_, request| match request {
            RequestKind::ApiVersions(_) => Some(response.clone().into()),
            _ => None,
        });
        answer(cluster, req)
    };
    let failed = versions(1).with_error_code(ResponseError::UnsupportedVersion.code());
    assert_eq!(try_to_add(&mut cluster, failed), Some(TIMED_OUT));
    assert_eq!(try_to_add(&mut cluster, versions(0)), Some(ResponseError::InvalidRequest.code()));
    assert_eq!(try_to_add(&mut cluster, versions(1)), Some(TIMED_OUT), "it has fetched nothing");
    let (epoch, end) = (cluster.node(1).epoch(), cluster.node(1).log().unwrap().log_end_offset());
    cluster.send(1, 17, fetch_of(4, epoch, end, epoch));
    assert_eq!(try_to_add(&mut cluster, versions(1)), None);
    assert_eq!(voters_of(&cluster, 1), [1, 4]);
}

#[test]
fn a_change_that_is_cut_off_is_undone() {
    let mut cluster = three_and_a_spare(1, Zoo::default());
    let (leader, one, _) = leader_and_others(&cluster);
    cluster.isolate(leader);
    cluster.send(leader, 0, remove(one));
    assert_eq!(voters_of(&cluster, leader).len(), 2);
    assert!(cluster.run_until(20_000, |cluster| cluster.active().is_some_and(|id| id != leader)));
    cluster.heal();
    cluster.run(5_000);
    assert_eq!(voters_of(&cluster, leader), [1, 2, 3]);
}

#[test]
fn a_snapshot_tells_the_voters() {
    let config = BrokerConfig { metadata_log_max_record_bytes_between_snapshots: 1_000, ..BrokerConfig::default() };
    let mut cluster = Cluster::with_spares(3, 1, &config, 1, Zoo::default());
    cluster.ids().into_iter().for_each(|id| cluster.start(id));
    cluster.run(8_000);
    let (leader, one, _) = leader_and_others(&cluster);
    assert_eq!(change(&mut cluster, remove(one)), 0);
    let changed_at = cluster.node(leader).log().unwrap().log_end_offset();
    let is_cut = |cluster: &Cluster| cluster.node(leader).log().unwrap().log_start_offset() > changed_at;
    assert!(cluster.run_until(60_000, is_cut), "snapshots are taken");
    // The spare controller's disk is lost, and all that it gets of the change is the snapshot.
    cluster.replace_disk(4);
    cluster.start(4);
    cluster.run(3_000);
    assert!(cluster.names_of(4).contains(&"snapshot-loaded"));
    assert!(!voters_of(&cluster, 4).contains(&one));
    cluster.crash(4);
    cluster.start(4);
    assert!(!voters_of(&cluster, 4).contains(&one), "nor after a restart");
}

#[test]
fn a_leader_that_is_removed_leads_until_that_is_committed() {
    for zoo in [Zoo::default(), Zoo::from_iter([Switch::HwAssumesLeaderIsVoter])] {
        let mut cluster = three_and_a_spare(1, zoo);
        let (leader, one, other) = leader_and_others(&cluster);
        cluster.crash(other);
        let removing = cluster.send(leader, 0, remove(leader));
        cluster.run(1_000);
        if zoo.on(Switch::HwAssumesLeaderIsVoter) {
            assert_eq!(answer(&mut cluster, removing), Some(0), "it counts itself, and takes it for committed");
            continue;
        }
        assert_eq!(answer(&mut cluster, removing), None, "one of the two voters is no majority");
        assert_eq!(cluster.role(leader), QuorumRole::Leader);
        cluster.start(other);
        let resigned = |cluster: &Cluster| cluster.names_of(leader).contains(&"resigned");
        assert!(cluster.run_until(3_000, resigned));
        assert!(cluster.run_until(8_000, |cluster| cluster.active().is_some_and(|id| id == one || id == other)));
    }
}

#[test]
fn a_leader_that_is_removed_needs_the_fetches_of_a_majority_without_it() {
    let mut cluster = three_and_a_spare(1, Zoo::default());
    let (leader, _, other) = leader_and_others(&cluster);
    cluster.crash(other);
    cluster.send(leader, 0, remove(leader));
    assert!(cluster.run_until(6_000, |cluster| cluster.names_of(leader).contains(&"resigned")));
}

#[test]
fn a_voter_that_moved_tells_where_it_is() {
    let mut cluster = three_and_a_spare(1, Zoo::default());
    let (leader, one, _) = leader_and_others(&cluster);
    let port_of = |cluster: &Cluster, id: i32| {
        let voters = cluster.node(leader).voters();
        voters.iter().find(|voter| voter.id == id).map(|voter| voter.endpoint.port)
    };
    cluster.crash(one);
    cluster.listen_at(one, 9_094);
    cluster.start(one);
    assert!(cluster.run_until(15_000, |cluster| port_of(cluster, one) == Some(9_094)));
    // One that is elected says so at once.
    let mut cluster = Cluster::started(1, 1, Zoo::default());
    cluster.run(1_000);
    cluster.crash(1);
    cluster.listen_at(1, 9_094);
    cluster.start(1);
    cluster.run(1_000);
    assert_eq!(cluster.node(1).voters()[0].endpoint.port, 9_094);
}

#[test]
fn an_observer_grants_its_vote() {
    let mut cluster = three_and_a_spare(1, Zoo::default());
    let epoch = cluster.node(4).epoch() + 1;
    let end = cluster.node(4).log().unwrap().log_end_offset();
    let mut request = vote_request(1, epoch, epoch - 1, end, false).with_voter_id(4.into());
    request.topics[0].partitions[0].voter_directory_id = voter(4).directory_id;
    cluster.isolate(4);
    let req = cluster.send(4, 2, request);
    cluster.run(20);
    let Some(ResponseKind::Vote(response)) = cluster.answers.remove(&req) else { panic!("no answer") };
    assert!(response.topics[0].partitions[0].vote_granted);
    // And goes on as an observer.
    cluster.run(10_000);
    assert_eq!((cluster.role(4), cluster.node(4).epoch()), (QuorumRole::Observer, epoch));
}

#[test]
fn a_voter_whose_disk_is_replaced_is_removed_and_added_again() {
    let mut cluster = Cluster::settled(3, Zoo::default());
    let (leader, one, _) = leader_and_others(&cluster);
    cluster.replace_disk(one);
    cluster.start(one);
    cluster.run(1_000);
    assert_eq!(cluster.role(one), QuorumRole::Observer);
    let again = add(&cluster, one);
    assert_eq!(change(&mut cluster, again.clone()), ResponseError::DuplicateVoter.code());
    assert_eq!(change(&mut cluster, remove(one)), 0);
    assert_eq!(change(&mut cluster, again), 0);
    cluster.run(1_000);
    assert_eq!(cluster.role(one), QuorumRole::Follower { leader });
}
