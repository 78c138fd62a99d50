//! `[[admin]]` in scenario files: what reads, what is written back, and what is refused in which words.

use trial_kafka::controller::Voter;
use trial_kafka::node::{Command, ConfigResource, ElectionType, Endpoint};
use trial_sim::scenario::{ACTION_NAMES, AdminAction, Scenario, parse, schema, to_toml};
use uuid::Uuid;

const HEAD: &str = "\
format = 1
[cluster]
brokers = 3
[[topic]]
name = \"orders\"
partitions = 3
[[consumer]]
group.id = \"readers\"
";

fn read(steps: &str) -> Result<Scenario, String> {
    parse("admin.toml", &format!("{HEAD}{steps}"), &[]).map_err(|error| error.to_string())
}
fn refused(steps: &str) -> String {
    read(steps).expect_err("this step is wrong")
}

const EVERYTHING: &str = r#"
[[admin]]
at = "5s"
do = "delete-topic"
topic = "orders"
[[admin]]
at = "6s"
do = "create-topic"
topic = "payments"
partitions = 2
replication.factor = 2
assignments = [[1, 2], [2, 3]]
min.insync.replicas = 2
[[admin]]
at = "7s"
do = "create-partitions"
topic = "payments"
partitions = 4
[[admin]]
at = "8s"
do = "alter-config"
resource = "topic payments"
set = ["min.insync.replicas=1", "unclean.leader.election.enable=true"]
remove = "flush.messages"
[[admin]]
at = "9s"
do = "alter-config"
resource = "all brokers"
set = "min.insync.replicas=2"
[[admin]]
at = "9.5s"
do = "alter-config"
resource = "b2"
remove = "log.segment.bytes"
[[admin]]
at = "10s"
do = "elect-leaders"
[[admin]]
at = "10s"
do = "elect-leaders"
election = "unclean"
topic = "payments"
partition = 1
[[admin]]
at = "11s"
do = "reassign"
topic = "payments"
partition = 1
replicas = [3, 1]
[[admin]]
after = "isr-changed of orders-0"
not-before = "8s..9s"
occurrence = "2..5"
delay = "0s..10ms"
do = "reassign"
topic = "payments"
[[admin]]
at = "12s"
do = "delete-records"
topic = "payments"
before = 40
[[admin]]
at = "13s"
do = "remove-voter"
controller = 1
once = true
[[admin]]
at = "14s"
do = "add-voter"
controller = 1
[[admin]]
at = "15s"
do = "delete-group"
group = "readers"
[[admin]]
at = "16s"
do = "delete-offsets"
group = "readers"
topic = "orders"
[[admin]]
at = "16.5s"
do = "delete-offsets"
group = "readers"
topic = "orders"
partition = 1
"#;

#[test]
fn every_action_reads_and_is_written_so_that_it_reads_back_equal() {
    let scenario = read(EVERYTHING).unwrap_or_else(|error| panic!("{error}"));
    let again = parse("admin.toml", &to_toml(&scenario), &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again, scenario);
    for name in ACTION_NAMES {
        assert!(scenario.admin.iter().any(|step| step.action.name() == name), "{name}");
        assert!(schema().contains(name), "{name}");
    }
    // The voter has got another disk: it is removed by the old one and added with the new.
    let voter = |n: u32, as_it_stands: bool| Voter {
        id: n as i32,
        directory_id: Uuid::from_u128(if as_it_stands { 2 } else { 1 }),
        endpoint: Endpoint { host: format!("c{n}"), port: 9093 },
    };
    let commands: Vec<Command> = scenario.admin.iter().map(|step| step.action.command(voter)).collect();
    let disk_of = |command: &Command| match command {
        Command::AddVoter { id: 1, directory_id, .. } | Command::RemoveVoter { id: 1, directory_id } => *directory_id,
        other => panic!("{other:?}"),
    };
    assert_eq!([&commands[11], &commands[12]].map(disk_of), [1, 2].map(Uuid::from_u128));
    assert!(matches!(&commands[1], Command::CreateTopic { partitions: 2, configs, .. } if configs.len() == 1));
    assert!(
        matches!(&commands[3], Command::AlterConfigs { resource: ConfigResource::Topic(_), changes } if changes.len() == 3)
    );
    assert!(
        matches!(&commands[7], Command::ElectLeaders { election: ElectionType::Unclean, partitions } if partitions.len() == 1)
    );
    let offsets_of = |command: &Command| match command {
        Command::DeleteOffsets { partitions, .. } => partitions.iter().map(|p| p.partition).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!([&commands[14], &commands[15]].map(offsets_of), [vec![0, 1, 2], vec![1]], "all of a topic's, or one");
    assert!(matches!(&scenario.admin[9].action, AdminAction::Reassign { replicas: None, .. }));
}

#[test]
fn a_wrong_step_is_told_with_its_line_and_what_would_be_right() {
    let step = |rest: &str| refused(&format!("[[admin]]\nat = \"5s\"\n{rest}\n"));
    let cases = [
        ("do = \"delete-topics\"\ntopic = \"orders\"", "delete-topic"),
        ("do = \"delete-topic\"", "\"topic\" is missing"),
        ("do = \"delete-topic\"\ntopic = \"order\"", "orders"),
        ("do = \"delete-topic\"\ntopic = \"orders\"\nreplicas = [1]", "replicas"),
        ("do = \"create-topic\"\ntopic = \"new\"\nfile.delete.delay.ms = 1", "known to Kafka, not modelled"),
        ("do = \"create-topic\"\ntopic = \"new\"\nreplication.factor = 4", "impossible with 3 brokers"),
        ("do = \"alter-config\"\nresource = \"topic orders\"", "what is changed?"),
        ("do = \"alter-config\"\nresource = \"b9\"\nset = \"min.insync.replicas=2\"", "there are b1 to b3"),
        ("do = \"alter-config\"\nresource = \"topic orders\"\nset = \"min.insync.replica=2\"", "min.insync.replicas"),
        ("do = \"alter-config\"\nresource = \"topic orders\"\nset = \"min.insync.replicas=0\"", "must be from 1"),
        ("do = \"alter-config\"\nresource = \"topic orders\"\nset = \"min.insync.replicas\"", "KEY=VALUE"),
        (
            "do = \"alter-config\"\nresource = \"b1\"\nset = \"replica.lag.time.max.ms=1\"",
            "cannot be changed for a running",
        ),
        ("do = \"elect-leaders\"\nelection = \"uncleanly\"", "unclean"),
        ("do = \"add-voter\"", "\"controller\" is missing"),
        ("do = \"delete-group\"\ngroup = \"reader\"", "did you mean \"readers\"?"),
        ("do = \"delete-offsets\"\ngroup = \"readers\"", "\"topic\" is missing"),
        ("do = \"remove-voter\"\ncontroller = 9", "must be from 1"),
        ("do = \"reassign\"\ntopic = \"orders\"\nreplicas = [1, 1]", "names broker 1 twice"),
    ];
    for (rest, expected) in cases {
        let error = step(rest);
        assert!(error.contains(expected), "{rest}\n{error}");
    }
    let early = refused("[[admin]]\nat = \"1s\"\ndo = \"elect-leaders\"\n");
    assert!(early.contains("warm-up") && early.contains("admin.toml:10"), "{early}");
}
