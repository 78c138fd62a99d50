//! `trial merge DIR…`: the results of shards as one report.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use trial_sim::campaign::Campaign;

use crate::args::MergeArgs;
use crate::failure::Failure;
use crate::junit;
use crate::ledger::Kept;
use crate::output::{Ending, Out};
use crate::report::CampaignReport;
use crate::shard::Shard;

/// Joins what the directories hold.
pub fn merge(args: &MergeArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let mut shards: BTreeMap<Shard, Kept> = BTreeMap::new();
    for directory in &args.directories {
        let found = campaigns_in(directory)?;
        if found.is_empty() {
            let what = format!("{} holds no campaign", directory.display());
            return Err(Failure::usage(what, ["a campaign is kept by trial search --out DIR".to_owned()]));
        }
        for kept in found {
            kept.check_build()?;
            if kept.header.guided {
                let what = format!("{} holds a guided campaign, which has no shards", directory.display());
                return Err(Failure::usage(what, ["trial search --guided --out DIR goes on with it".to_owned()]));
            }
            if let Some((_, other)) = shards.first_key_value()
                && let Some(differs) = other.header.differs_but_for_its_shard(&kept.header)
            {
                let (here, there) = (kept.directory.display(), other.directory.display());
                return Err(Failure::usage(
                    format!("these are parts of different campaigns: {there} holds one {differs}: {here}"),
                    ["merge the shards of one campaign".to_owned()],
                ));
            }
            if let Some(twice) = shards.insert(kept.header.shard, kept) {
                let what =
                    format!("shard {} is there twice, once in {}", twice.header.shard, twice.directory.display());
                return Err(Failure::usage(what, ["name each directory once".to_owned()]));
            }
        }
    }
    let Some((first, kept)) = shards.first_key_value() else { return Ok(Ending::GOOD) };
    let (subject, seeds) = (kept.header.subject()?, kept.header.seeds);
    let (mut sum, mut seconds) = (Campaign::default(), 0.0);
    for kept in shards.values() {
        sum.add(kept.sum.clone());
        seconds += kept.seconds;
    }
    let report = CampaignReport { subject: &subject, seeds, part: String::new(), sum: &sum, seconds };
    report.tell(json, out)?;
    if let Some(path) = &args.junit {
        junit::write(path, &report)?;
    }
    let missing: Vec<String> = (1..=first.of).filter_map(|index| missing(index, first.of, &shards)).collect();
    match missing.is_empty() {
        true => Ok(report.ending()),
        false => Err(Failure::usage("the campaign is not complete", missing)),
    }
}

/// What is still to be done of a shard.
fn missing(index: u64, of: u64, shards: &BTreeMap<Shard, Kept>) -> Option<String> {
    let shard = Shard { index, of };
    let Some(kept) = shards.get(&shard) else { return Some(format!("shard {shard} is not here")) };
    let wanted = kept.missing() + kept.sum.trials;
    let stopped = kept.missing() > 0;
    stopped.then(|| format!("shard {shard} has {} of {wanted} seeds: {}", kept.sum.trials, kept.directory.display()))
}

/// The campaign in a directory, or those of its shards.
fn campaigns_in(directory: &Path) -> Result<Vec<Kept>, Failure> {
    if let Some(kept) = Kept::read(directory)? {
        return Ok(vec![kept]);
    }
    let failed = |error| Failure::File { path: directory.to_path_buf(), error };
    let mut kept = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_shard = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("shard-"));
        if is_shard && path.is_dir() {
            kept.extend(Kept::read(&path)?);
        }
    }
    Ok(kept)
}
