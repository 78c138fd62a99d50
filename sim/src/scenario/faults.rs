//! The sections `[[fault]]` and `[chaos]`.

use trial_kafka::node::Purpose;

use super::error::Wrong;
use super::read::{Reader, boolean, duration_range, int, list, number, text};
use super::tree::{Placed, Value};
use super::{DurationRange, Scenario, check};
use crate::fault::{
    Chaos, CountRange, Direction, FIRST_DRAWN_ID, FaultKind, FaultSpec, KIND_NAMES, MetadataKind, Peer, Target,
    TextError, Trigger, When, parse_peer, parse_target, parse_trigger,
};

/// The keys of a kind, besides those that say who and when.
pub(super) fn keys_of_kind(kind: &str) -> &'static [&'static str] {
    match kind {
        "crash" | "power-loss" | "replace-disk" => &["restart-after"],
        "restore-disk" => &["age", "only", "restart-after"],
        "disk-fails" => &["after-operations", "restart-after"],
        "late-metadata" => &["by", "of", "lasts"],
        "clean-restart" => &["down-for"],
        "pause" | "stall-disk" | "lost-sync" => &["lasts"],
        "cut" => &["peers", "direction", "lasts"],
        "slow-link" => &["peers", "direction", "purpose", "by", "lasts"],
        "slow-disk" | "slow-fetch" => &["by", "lasts"],
        "clock-jump" => &["by", "back"],
        _ => &[],
    }
}

const WHO_AND_WHEN: [&str; 8] = ["kind", "target", "at", "after", "not-before", "occurrence", "delay", "id"];

fn spelled<T>(found: &Placed, parse: impl Fn(&str) -> Result<T, TextError>) -> Result<T, Wrong> {
    let given = text(found)?;
    parse(&given).map_err(|error| {
        let valid = error.valid.iter().map(String::as_str);
        Wrong::new(error.message.clone()).among(&given, valid)
    })
}

fn target(scenario: &Scenario, by_event: bool) -> impl Fn(&Placed) -> Result<Target, Wrong> {
    move |found| {
        let target = spelled(found, parse_target)?;
        check::target(scenario, &target, by_event)?;
        Ok(target)
    }
}

fn trigger(scenario: &Scenario) -> impl Fn(&Placed) -> Result<Trigger, Wrong> {
    move |found| {
        let given = text(found)?;
        let trigger = parse_trigger(&given).map_err(|error| {
            let event = given.split_whitespace().next().unwrap_or_default();
            Wrong::new(error.message.clone()).among(event, error.valid.iter().map(String::as_str))
        })?;
        check::trigger(scenario, &trigger)?;
        Ok(trigger)
    }
}

fn kind_name(found: &Placed) -> Result<&'static str, Wrong> {
    let given = text(found)?;
    let known = KIND_NAMES.into_iter().find(|&name| name == given);
    known.ok_or_else(|| Wrong::new(format!("no fault is called {given:?}")).among(&given, KIND_NAMES))
}

fn direction(found: &Placed) -> Result<Direction, Wrong> {
    let given = text(found)?;
    let known = Direction::NAMES.into_iter().find(|(name, _)| *name == given);
    let wrong =
        || Wrong::new(format!("{given:?} is no direction")).among(&given, Direction::NAMES.map(|(name, _)| name));
    known.map(|(_, direction)| direction).ok_or_else(wrong)
}

fn purpose(found: &Placed) -> Result<Purpose, Wrong> {
    let given = text(found)?;
    let known = Purpose::NAMES.into_iter().find(|(name, _)| *name == given);
    let wrong =
        || Wrong::new(format!("no connection is for {given:?}")).among(&given, Purpose::NAMES.map(|(name, _)| name));
    known.map(|(_, purpose)| purpose).ok_or_else(wrong)
}

/// Reads `[[fault]]`. `None` if something that it needs is missing or wrong, which is told.
pub(super) fn fault(mut reader: Reader<'_, '_, '_>, scenario: &Scenario, position: u32) -> Option<FaultSpec> {
    let kind = reader.require("kind", kind_name);
    let by_event = reader.has("after");
    let target = reader.require("target", |found| {
        let target = target(scenario, by_event)(found)?;
        check::can_suffer(kind.unwrap_or_default(), &target)?;
        Ok(target)
    });
    let when = when(&mut reader, scenario);
    let id = reader.take("id", number(1, i64::from(u32::MAX))).unwrap_or(position);
    if scenario.faults.iter().any(|fault| fault.id == id) {
        reader.fail("id", Wrong::new(format!("another fault has the id {id} already")));
    }
    if scenario.chaos.is_some() && id >= FIRST_DRAWN_ID {
        reader.fail("id", Wrong::new(format!("with [chaos], ids from {FIRST_DRAWN_ID} on are those of drawn faults")));
    }
    let Some(name) = kind else {
        // Which keys are valid depends on the kind: without it, nothing is said of them.
        reader.rest(|_, _| Ok(()));
        return None;
    };
    reader.valid = WHO_AND_WHEN.iter().chain(keys_of_kind(name)).copied().collect();
    let kind = kind_of(name, &mut reader, scenario, by_event);
    reader.finish(&format!(" of {name}"));
    Some(FaultSpec { id, when: when?, target: target?, kind: kind? })
}

/// Reads when a fault or a step of an administrator is due.
pub(super) fn when(reader: &mut Reader<'_, '_, '_>, scenario: &Scenario) -> Option<When<DurationRange>> {
    let at = reader.take("at", duration_range);
    let trigger = reader.take("after", trigger(scenario));
    match (reader.has("at"), reader.has("after")) {
        (true, true) => {
            reader.fail("after", Wrong::new("it stands at an instant or comes after an event, not both"));
        }
        (false, false) => {
            reader.fail_here(Wrong::new("when? say at = \"5s\", or after = \"leader-changed\""));
        }
        (true, false) => {
            for key in ["not-before", "occurrence", "delay"] {
                if reader.has(key) {
                    reader.fail(key, Wrong::new("this says more about after = …, which is not there"));
                }
            }
        }
        (false, true) => {}
    }
    let not_before = reader.take("not-before", duration_range);
    let occurrence = reader.take("occurrence", count_range(1, 1_000_000)).unwrap_or(CountRange::exactly(1));
    let delay = reader.take("delay", duration_range).unwrap_or(DurationRange::exactly(0));
    for (key, instant) in [("at", at), ("not-before", not_before)] {
        if let Some(instant) = instant
            && let Err(wrong) = check::instant(scenario, instant)
        {
            reader.fail(key, wrong);
        }
    }
    let not_before = not_before.unwrap_or(DurationRange::exactly(scenario.phases.warm_up));
    at.map(When::At).or_else(|| trigger.map(|trigger| When::After { trigger, occurrence, not_before, delay }))
}

fn kind_of(
    name: &'static str,
    reader: &mut Reader<'_, '_, '_>,
    scenario: &Scenario,
    by_event: bool,
) -> Option<FaultKind<DurationRange>> {
    let has = |key| keys_of_kind(name).contains(&key);
    let peer = |found: &Placed| -> Result<Peer, Wrong> {
        let peer = spelled(found, parse_peer)?;
        check::peer(scenario, &peer, by_event)?;
        Ok(peer)
    };
    let mut optional = |key| if has(key) { reader.take(key, duration_range) } else { None };
    let restart_after = optional("restart-after");
    let down_for = optional("down-for").unwrap_or(DurationRange::exactly(1_000_000_000));
    let lasts = optional("lasts");
    let by = if has("by") { reader.require("by", duration_range) } else { None };
    let back = has("back") && reader.take("back", boolean).unwrap_or(false);
    let after_operations = if has("after-operations") { reader.take("after-operations", operations) } else { None };
    let of = if has("of") { reader.take("of", list(metadata_kind)) } else { None }.unwrap_or_default();
    let purpose = if has("purpose") { reader.take("purpose", purpose) } else { None };
    let age = if has("age") { reader.require("age", duration_range) } else { None };
    let only = if has("only") { reader.take("only", list(part_of_disk)) } else { None };
    let (mut peers, mut way) = (vec![], Direction::Both);
    if has("peers") {
        peers = reader.take("peers", list(peer)).unwrap_or_else(|| vec![Peer::Everyone]);
        way = reader.take("direction", direction).unwrap_or(Direction::Both);
        if peers.is_empty() {
            reader.fail("peers", Wrong::new("name at least one peer, or leave the key out for everyone"));
        }
    }
    Some(match name {
        "crash" => FaultKind::Crash { restart_after },
        "power-loss" => FaultKind::PowerLoss { restart_after },
        "clean-restart" => FaultKind::CleanRestart { down_for },
        "pause" => FaultKind::Pause { lasts },
        "cut" => FaultKind::Cut { peers, direction: way, lasts },
        "slow-link" => FaultKind::SlowLink { peers, purpose, direction: way, by: by?, lasts },
        "slow-disk" => FaultKind::SlowDisk { by: by?, lasts },
        "stall-disk" => FaultKind::StallDisk { lasts },
        "slow-fetch" => FaultKind::SlowFetch { by: by?, lasts },
        "clock-jump" => FaultKind::ClockJump { by: by?, back },
        "replace-disk" => FaultKind::ReplaceDisk { restart_after },
        "restore-disk" => FaultKind::RestoreDisk { age: age?, checkpoints_only: only.is_some(), restart_after },
        "disk-fails" => {
            let after_operations = after_operations.unwrap_or(CountRange::exactly(0));
            FaultKind::DiskFails { after_operations, restart_after }
        }
        "lost-sync" => FaultKind::LostSync { lasts },
        "late-metadata" => FaultKind::LateMetadata { by: by?, of, lasts },
        _ => return None,
    })
}

/// `5` or `"3..8"`, between these bounds.
fn count_range(least: i64, most: i64) -> impl Fn(&Placed) -> Result<CountRange, Wrong> {
    move |found| {
        let one = number::<u32>(least, most);
        let Value::Text(text) = &found.value else {
            return one(found).map(CountRange::exactly);
        };
        let bound = |text: &str| {
            let n: i64 = text.trim().parse().map_err(|_| Wrong::new(format!("{text:?} is no number")))?;
            one(&Placed { value: Value::Int(n), place: found.place.clone() })
        };
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        match (bound(min)?, bound(max)?) {
            (min, max) if min <= max => Ok(CountRange { min, max }),
            _ => Err(Wrong::new(format!("the range {text:?} ends before it begins"))),
        }
    }
}

fn operations(found: &Placed) -> Result<CountRange, Wrong> {
    count_range(0, 1_000_000)(found)
}

/// What of a disk may be old alone.
fn part_of_disk(found: &Placed) -> Result<(), Wrong> {
    match text(found)?.as_str() {
        "checkpoints" => Ok(()),
        other => Err(Wrong::new(format!("{other:?} is no part of a disk")).among(other, ["checkpoints"])),
    }
}

fn metadata_kind(found: &Placed) -> Result<MetadataKind, Wrong> {
    let given = text(found)?;
    let known = MetadataKind::NAMES.into_iter().find(|(name, _)| *name == given);
    let wrong = || {
        Wrong::new(format!("no kind of metadata is called {given:?}"))
            .among(&given, MetadataKind::NAMES.map(|(name, _)| name))
    };
    known.map(|(_, kind)| kind).ok_or_else(wrong)
}

/// Reads `[chaos]`.
pub(super) fn chaos(mut reader: Reader<'_, '_, '_>, scenario: &Scenario) -> Chaos {
    let default = Chaos::of(&scenario.cluster);
    let mut weights = KIND_NAMES.map(|kind| (kind, format!("mix.{kind}"))).map(|(kind, key)| {
        let weight = reader.take(&key, |found| int(0, 1_000_000)(found));
        (kind, weight)
    });
    let mix: Vec<(&'static str, u32)> = if weights.iter().all(|(_, weight)| weight.is_none()) {
        default.mix
    } else {
        weights.iter_mut().filter_map(|(kind, weight)| Some((*kind, u32::try_from((*weight)?).ok()?))).collect()
    };
    let mix: Vec<_> = mix.into_iter().filter(|(_, weight)| *weight > 0).collect();
    if mix.is_empty() {
        reader.fail_here(Wrong::new("every weight of the mix is 0: no fault could be drawn"));
    }
    let mut range = |key, default| reader.take(key, duration_range).unwrap_or(default);
    let delay = range("delay", default.delay);
    let down_for = range("down-for", default.down_for);
    let lasts = range("lasts", default.lasts);
    let slow_link_by = range("slow-link-by", default.slow_link_by);
    let slow_disk_by = range("slow-disk-by", default.slow_disk_by);
    let slow_fetch_by = range("slow-fetch-by", default.slow_fetch_by);
    let clock_jump_by = range("clock-jump-by", default.clock_jump_by);
    let metadata_late_by = range("metadata-late-by", default.metadata_late_by);
    let chaos_target = |found: &Placed| {
        let target = target(scenario, true)(found)?;
        match mix.iter().map(|(kind, _)| check::can_suffer(kind, &target)).find(Result::is_err) {
            // One kind of the mix is enough.
            Some(Err(wrong)) if !mix.iter().any(|(kind, _)| target.can_suffer(kind)) => Err(wrong),
            _ => Ok(target),
        }
    };
    let chaos = Chaos {
        faults: reader.take("faults", count_range(0, 1_000)).unwrap_or(default.faults),
        swarm: reader.take("swarm", boolean).unwrap_or(default.swarm),
        targets: reader.take("targets", list(chaos_target)).unwrap_or_default(),
        events: reader.take("events", list(trigger(scenario))).unwrap_or(default.events),
        by_event: reader.take("by-event", number(0, 100)).unwrap_or(default.by_event),
        occurrence: reader.take("occurrence", count_range(1, 1_000_000)).unwrap_or(default.occurrence),
        disk_fails_after: reader.take("disk-fails-after", operations).unwrap_or(default.disk_fails_after),
        mix,
        delay,
        down_for,
        lasts,
        slow_link_by,
        slow_disk_by,
        slow_fetch_by,
        clock_jump_by,
        metadata_late_by,
    };
    reader.finish("");
    chaos
}
