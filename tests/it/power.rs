//! What survives a power cut. Every operation of the real service on its files is recorded, in order. Images are then
//! made of what a disk may hold if power fails at some moment, and each is opened: everything that was answered must be
//! there.
//!
//! `MUSTER_POWER_SEED` repeats a run's choices, `MUSTER_POWER_IMAGES` asks for more images than usual. The order of
//! operations is not repeated: two runs with one seed are alike, not the same.

mod check;
mod disk;
mod image;
mod load;
mod trace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use check::check;
use disk::{SimulatedDisk, UnsyncedNames, UnsyncedWrites};
use image::DiskImage;
use load::{AnsweredCommand, LoadCaller};
use trace::{FileOperation, TraceRecord, TraceRecorder};

use crate::service_process::{ServiceProcess, WebhookReceiver, number, random_choices, temp_directory};

/// The default number of images.
const IMAGES: u64 = 400;
/// Concurrent callers.
const CALLERS: u64 = 8;
/// Commands of each caller in a run of the service that is not cut short.
const COMMANDS: u64 = 60;
/// The data directory, relative to the watched directory. The first start creates both levels.
const DATA: &str = "state/muster";
/// More operations than any start needs until it is ready.
const OPENING: u64 = 200;
/// The number of failed images that are kept for inspection.
const KEPT: usize = 3;

/// How a run of the service ends.
#[derive(Clone, Copy)]
enum LifeEnd {
    /// It is stopped.
    Stop,
    /// It is killed after this many operations; the system still has everything that it wrote.
    Kill(u64),
    /// Power fails after this many operations, and the next run starts with what is left.
    PowerCut(u64),
}

/// The operations on the disk, and the commands answered meanwhile.
#[derive(Default)]
struct DiskHistory {
    records: Vec<TraceRecord>,
    answered: Vec<AnsweredCommand>,
    /// Why a run could not start on what the one before had left.
    failure: Option<String>,
}

/// One image: after how many operations power is cut, and what happens to unsynced ones.
struct PowerCutPlan {
    cut: usize,
    changes: UnsyncedWrites,
    names: UnsyncedNames,
    seed: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_in_a_power_cut() {
    let images = number("MUSTER_POWER_IMAGES").unwrap_or(IMAGES);
    let mut random = random_choices("MUSTER_POWER_SEED");
    let seed = random.get_seed();
    let begun = Instant::now();
    let history = run_lives(&mut random).await;
    let lived = begun.elapsed();
    let plans = plan_cuts(&history, images, &mut random);
    let mut failures = check_images(&history, &plans);
    failures.extend(history.failure.clone());
    let mut treated: BTreeMap<_, usize> = BTreeMap::new();
    plans.iter().for_each(|plan| *treated.entry((plan.changes, plan.names)).or_default() += 1);
    let (operations, commands) = (history.records.len(), history.answered.len());
    println!("{operations} operations traced in {lived:.1?}, {commands} answered commands");
    println!("{images} images tried in {:.1?}, by (changes, names): {treated:?}", begun.elapsed() - lived);
    failures.iter().for_each(|failure| println!("MUSTER_POWER_SEED={seed}: {failure}"));
    assert!(failures.is_empty(), "{} of {images} images failed", failures.len());
    assert!(commands as u64 > CALLERS * COMMANDS, "the load did nothing");
}

/// Runs the service several times on one data directory, and records its operations.
async fn run_lives(random: &mut fastrand::Rng) -> DiskHistory {
    let (work, top) = (temp_directory(), temp_directory());
    let recorder = TraceRecorder::new(work.path(), top.path());
    let receiver = WebhookReceiver::start_failing(|attempt| attempt % 17 == 3).await;
    let mut callers: Vec<LoadCaller> = (0..CALLERS).map(|index| LoadCaller::new(index, random.u64(..))).collect();
    let (mut disk, mut history) = (SimulatedDisk::new(), DiskHistory::default());
    let ends = [
        LifeEnd::Stop,
        LifeEnd::Kill(random.u64(500..1_500)),
        LifeEnd::PowerCut(random.u64(500..1_500)),
        // During the recovery from the power cut.
        LifeEnd::PowerCut(random.u64(1..80)),
        LifeEnd::Stop,
    ];
    for end in ends {
        let begun = recorder.length();
        let answered = run_life(end, &recorder, &receiver, &top.path().join(DATA), &mut callers).await;
        let mut records = recorder.read(begun);
        if let LifeEnd::PowerCut(operations) = end {
            records.truncate(usize::try_from(operations).unwrap());
        }
        let cut = records.last().unwrap().end;
        records.iter().for_each(|record| disk.replay(record));
        history.records.append(&mut records);
        history.answered.extend(answered.into_iter().filter(|answered| answered.length <= cut));
        if let LifeEnd::PowerCut(_) = end {
            let plan = PowerCutPlan {
                cut: history.records.len(),
                changes: UnsyncedWrites::Torn,
                names: UnsyncedNames::First,
                seed: 0,
            };
            let image = disk.cut_power(plan.changes, plan.names, random);
            history.failure = check_image(&history, &plan, &image, true).err();
            if history.failure.is_some() {
                return history;
            }
            fs::read_dir(top.path()).unwrap().for_each(|it| fs::remove_dir_all(it.unwrap().path()).unwrap());
            image.write(top.path());
            let record = TraceRecord { call: FileOperation::PowerCut(image), end: recorder.length() };
            disk.replay(&record);
            history.records.push(record);
            callers.iter_mut().for_each(LoadCaller::forget);
        }
        // If this fails, the recorder missed an operation, and the images mean nothing.
        let whole = disk.cut_power(UnsyncedWrites::Kept, UnsyncedNames::Kept, random);
        assert!(whole.is_same(&DiskImage::of(top.path())), "the trace does not lead to what is on the disk");
    }
    history
}

/// One run of the service.
async fn run_life(
    end: LifeEnd,
    recorder: &TraceRecorder,
    receiver: &WebhookReceiver,
    data: &Path,
    callers: &mut [LoadCaller],
) -> Vec<AnsweredCommand> {
    let (kill, commands) = match end {
        LifeEnd::Stop => (0, COMMANDS),
        LifeEnd::Kill(operations) | LifeEnd::PowerCut(operations) => (operations.max(OPENING), u64::MAX),
    };
    let recording = recorder.environment(kill);
    let mut settings = vec![
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_WEBHOOKS__RETRY_WAITS", "20ms,20ms"),
        ("MUSTER_SIMULATOR__DELAY_MS", "5"),
        ("MUSTER_ACTORS__MAX_ACTIVE", "64"),
        ("MUSTER_STORE__CHECKPOINT_EVERY", "500"),
    ];
    settings.extend(recording.iter().map(|(name, value)| (*name, value.as_str())));
    let muster = ServiceProcess::start(data, &settings);
    let answered = Mutex::default();
    let calling = callers.iter_mut().map(|caller| caller.call(&muster, recorder, &answered, commands));
    futures_util::future::join_all(calling).await;
    let log = match end {
        LifeEnd::Stop => {
            let (status, log) = muster.stop("TERM");
            assert_eq!(status.code(), Some(0), "{log}");
            log
        }
        LifeEnd::Kill(_) | LifeEnd::PowerCut(_) => muster.kill(),
    };
    assert!(!log.contains("panicked"), "{log}");
    answered.into_inner().unwrap()
}

/// Chooses the cuts: anywhere, during a start, or beside an operation of a rare kind.
fn plan_cuts(history: &DiskHistory, images: u64, random: &mut fastrand::Rng) -> Vec<PowerCutPlan> {
    let mut kinds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, record) in history.records.iter().enumerate() {
        if let Some(kind) = operation_kind(&record.call) {
            kinds.entry(kind).or_default().push(index);
        }
    }
    let starts = kinds["start"].clone();
    let kinds: Vec<Vec<usize>> = kinds.into_values().collect();
    let all = history.records.len();
    let mut draw = |_| {
        let cut = match random.u8(0..3) {
            0 => random.usize(0..=all),
            1 => {
                // The first start creates what later ones find.
                let start = if random.bool() { starts[0] } else { *random.choice(&starts).unwrap() };
                start + random.usize(0..60)
            }
            _ => {
                let kind = random.choice(&kinds).unwrap();
                (random.choice(kind).unwrap() + random.usize(0..8)).saturating_sub(1)
            }
        };
        let changes = [UnsyncedWrites::Dropped, UnsyncedWrites::Kept, UnsyncedWrites::Each, UnsyncedWrites::Torn];
        let names = [UnsyncedNames::Dropped, UnsyncedNames::Kept, UnsyncedNames::First];
        let (changes, names) = (*random.choice(&changes).unwrap(), *random.choice(&names).unwrap());
        PowerCutPlan { cut: cut.min(all), changes, names, seed: random.u64(..) }
    };
    let mut plans: Vec<PowerCutPlan> = (0..images).map(&mut draw).collect();
    plans.sort_by_key(|plan| plan.cut);
    plans
}

/// The kind of an operation: what it does, and to which kind of file.
fn operation_kind(call: &FileOperation) -> Option<String> {
    let kind = |what: &str, path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        Some(format!("{what} {}", name.split('.').next().unwrap()))
    };
    match call {
        FileOperation::Start => Some("start".to_owned()),
        FileOperation::Truncate { .. } | FileOperation::Extend { .. } => Some("resize".to_owned()),
        FileOperation::Sync { .. } => Some("sync".to_owned()),
        FileOperation::Open { creates: true, path, .. } => kind("create", path),
        FileOperation::MakeDirectory { path } => kind("make", path),
        FileOperation::Remove { path } => kind("remove", path),
        FileOperation::Rename { from, .. } => kind("rename", from),
        FileOperation::Open { .. }
        | FileOperation::Close { .. }
        | FileOperation::Duplicate { .. }
        | FileOperation::Write { .. }
        | FileOperation::SyncRange
        | FileOperation::PowerCut(_) => None,
    }
}

/// Makes every image and opens it, on two threads. Returns the failures.
fn check_images(history: &DiskHistory, plans: &[PowerCutPlan]) -> Vec<String> {
    let failures = Mutex::new(Vec::new());
    let waiting = Mutex::new((SimulatedDisk::new(), 0, plans.iter()));
    let next = || {
        let mut waiting = waiting.lock().unwrap();
        let (disk, done, plans) = &mut *waiting;
        let plan = plans.next()?;
        history.records[*done..plan.cut].iter().for_each(|record| disk.replay(record));
        *done = plan.cut;
        Some((plan, disk.cut_power(plan.changes, plan.names, &mut fastrand::Rng::with_seed(plan.seed))))
    };
    let work = || {
        while let Some((plan, image)) = next() {
            let keeps = failures.lock().unwrap().len() < KEPT;
            let outcome = check_image(history, plan, &image, keeps);
            failures.lock().unwrap().extend(outcome.err());
        }
    };
    thread::scope(|scope| [scope.spawn(work), scope.spawn(work)].map(|worker| worker.join().unwrap()));
    failures.into_inner().unwrap()
}

fn check_image(history: &DiskHistory, plan: &PowerCutPlan, image: &DiskImage, keeps: bool) -> Result<(), String> {
    let top = temp_directory();
    image.write(top.path());
    let PowerCutPlan { cut, changes, names, .. } = plan;
    let done = &history.records[..*cut];
    let length = done.last().map_or(0, |last| last.end);
    let answered = history.answered.iter().filter(|answered| answered.length <= length);
    let answered: Vec<&AnsweredCommand> = answered.collect();
    check(&top.path().join(DATA), &answered).map_err(|failure| {
        // The check has changed it.
        let kept = if keeps { format!("; a copy is in {}", keep_copy(image).display()) } else { String::new() };
        let last: Vec<&FileOperation> = done.iter().rev().take(5).rev().map(|record| &record.call).collect();
        let (count, unsynced) = (answered.len(), &image.unsynced);
        format!(
            "cut after {cut} operations, changes {changes:?}, names {names:?}, {count} commands answered: {failure}\n  \
            not synced: {unsynced:?}\n  last operations: {last:?}{kept}"
        )
    })
}

/// Writes an image to a directory that is kept.
fn keep_copy(image: &DiskImage) -> PathBuf {
    let place = temp_directory().keep();
    image.write(&place);
    place
}
