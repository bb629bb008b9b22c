//! Checkpoints of the whole node: when one is taken, and that all shards' count together.
//!
//! One is taken when the log has grown enough beyond the last, as `auto-aof-rewrite-percentage` and `-min-size` say, at
//! the points that `save` names, and when a client asks. With a log each shard's checkpoint stands beside its log, and
//! counts when all shards have theirs. Without one, the checkpoints and empty logs take the place of everything that was
//! on disk, in one step.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::future::join_all;
use tokio::sync::mpsc;

use super::accept::wall_clock;
use super::request::SaveRequest;
use crate::metrics::{CheckpointKind, NodeView};
use crate::persist::{DataDir, DiskStorage, LogMarks, Rewrite};
use crate::shard::drive::{CheckpointPlace, CheckpointRequest, Prepared, Stage, ToShard};
use crate::shard::mailbox::Sender;

/// How long after a failure none is taken by itself: the first and the longest pause.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// See the module.
pub(super) struct Checkpoints {
    view: Arc<NodeView>,
    shards: Vec<Sender<ToShard>>,
    dir: Arc<Mutex<DataDir<DiskStorage>>>,
    is_logged: bool,
    /// Held by the one that is being taken.
    running: tokio::sync::Mutex<()>,
    /// None is taken by itself before that time.
    retry: Mutex<(Duration, Option<Instant>)>,
}

/// Where a shard is asked for the stages of its checkpoint.
type Stages = mpsc::UnboundedSender<(Stage, oneshot::Sender<Result<(), String>>)>;

impl Checkpoints {
    pub(super) fn new(
        view: Arc<NodeView>,
        shards: Vec<Sender<ToShard>>,
        dir: Arc<Mutex<DataDir<DiskStorage>>>,
        is_logged: bool,
    ) -> Arc<Self> {
        view.persistence.loaded(wall_clock().unix_ms, view.totals_since_start().changes);
        Arc::new(Self {
            view,
            shards,
            dir,
            is_logged,
            running: tokio::sync::Mutex::new(()),
            retry: Mutex::new((RETRY_PAUSE.0, None)),
        })
    }

    /// Answers SAVE, BGSAVE and BGREWRITEAOF in Redis' words.
    pub(super) async fn answer(self: &Arc<Self>, request: SaveRequest) -> Result<String, String> {
        use CheckpointKind::{Rewrite, Save};
        let running = self.view.persistence.running();
        match (request, running) {
            (SaveRequest::Save, None) => self.take(Save).await.map(|()| "OK".into()),
            (SaveRequest::Save, Some(Save)) | (SaveRequest::BgSave { schedule: false }, Some(Save)) => {
                Err("ERR Background save already in progress".into())
            }
            // Unlike in Redis, nothing is in the way of waiting for the one and then taking another.
            (SaveRequest::Save, Some(Rewrite)) => self.take(Save).await.map(|()| "OK".into()),
            (SaveRequest::BgSave { .. }, None) => {
                self.start(Save);
                Ok("Background saving started".into())
            }
            (SaveRequest::BgSave { schedule: true }, Some(_)) => {
                self.view.persistence.schedule(Save);
                Ok("Background saving scheduled".into())
            }
            (SaveRequest::BgSave { schedule: false }, Some(Rewrite)) => {
                Err("ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order \
                     to schedule a BGSAVE whenever possible."
                    .into())
            }
            (SaveRequest::BgRewriteAof, None) => {
                self.start(Rewrite);
                Ok("Background append only file rewriting started".into())
            }
            (SaveRequest::BgRewriteAof, Some(Rewrite)) => {
                Err("ERR Background append only file rewriting already in progress".into())
            }
            (SaveRequest::BgRewriteAof, Some(Save)) => {
                self.view.persistence.schedule(Rewrite);
                Ok("Background append only file rewriting scheduled".into())
            }
        }
    }

    /// Takes one if it is time. To be called often.
    pub(super) fn tick(self: &Arc<Self>) {
        let persistence = &self.view.persistence;
        if persistence.running().is_some() {
            return;
        }
        for kind in [CheckpointKind::Save, CheckpointKind::Rewrite] {
            if persistence.is_scheduled(kind) {
                return self.start(kind);
            }
        }
        let pauses_until = self.retry.lock().unwrap_or_else(PoisonError::into_inner).1;
        if pauses_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        if let Some(kind) = self.is_due() {
            self.start(kind);
        }
    }

    fn is_due(&self) -> Option<CheckpointKind> {
        let (settings, totals) = (self.view.settings(), self.view.totals_since_start());
        let (base, since) = (totals.checkpoint_bytes, totals.log_bytes);
        let percentage = u64::from(settings.auto_checkpoint_percentage);
        let has_grown =
            percentage > 0 && u128::from(since) * 100 >= u128::from(base) * u128::from(percentage);
        if self.is_logged && has_grown && since > 0 && base + since > settings.auto_checkpoint_min_bytes {
            return Some(CheckpointKind::Rewrite);
        }
        let changes = self.view.persistence.changes_since(totals.changes);
        let age_s = (wall_clock().unix_ms / 1000).saturating_sub(self.view.persistence.last_unix_s());
        let mut points = settings.save_points().into_iter();
        let is_point = points.any(|(seconds, wanted)| age_s >= seconds && changes >= wanted.max(1));
        is_point.then_some(CheckpointKind::Save)
    }

    /// Takes one in the background.
    fn start(self: &Arc<Self>, kind: CheckpointKind) {
        // Noted here, so that whoever asks next finds it under way.
        self.view.persistence.begin(kind, wall_clock().unix_ms);
        let this = self.clone();
        tokio::spawn(async move { this.take(kind).await });
    }

    /// Takes one, after the one that is being taken.
    ///
    /// # Errors
    /// Why there is none; the last one counts as before.
    pub(super) async fn take(&self, kind: CheckpointKind) -> Result<(), String> {
        let _running = self.running.lock().await;
        let changes = self.view.totals_since_start().changes;
        self.view.persistence.begin(kind, wall_clock().unix_ms);
        let began = Instant::now();
        let taken = if self.is_logged { self.take_beside_logs().await } else { self.take_anew().await };
        self.view.persistence.end(taken.is_ok(), wall_clock().unix_ms, changes);
        let mut retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        match taken {
            Ok(prepared) => {
                *retry = (RETRY_PAUSE.0, None);
                let bytes: u64 = prepared.iter().map(|prepared| prepared.bytes).sum();
                let keys: u64 = prepared.iter().map(|prepared| prepared.keys).sum();
                tracing::info!(keys, bytes, "took a checkpoint in {:.1} s", began.elapsed().as_secs_f64());
                Ok(())
            }
            Err(error) => {
                let pause = retry.0;
                *retry = ((pause * 2).min(RETRY_PAUSE.1), Some(Instant::now() + pause));
                tracing::error!(
                    "no checkpoint: {error}. The last one counts as before, and serving goes on; the log grows until one \
                     succeeds, which is tried again in {} s where it is due",
                    pause.as_secs()
                );
                Err(format!("ERR {error}"))
            }
        }
    }

    async fn take_beside_logs(&self) -> Result<Vec<Prepared>, String> {
        let retention = self.view.settings().log_retention_bytes;
        self.take_on_shards(self.shards.iter().map(|_| CheckpointPlace::Log { retention })).await
    }

    /// Checkpoints beside empty logs, in place of all that is on disk.
    async fn take_anew(&self) -> Result<Vec<Prepared>, String> {
        let shards = self.shards.len() as u16;
        let mut rewrite: Rewrite<DiskStorage> = self
            .on_dir(move |dir| dir.begin_rewrite(shards, LogMarks::default()))
            .await?
            .map_err(|error| error.to_string())?;
        let places = rewrite.logs.iter_mut().map(|log| CheckpointPlace::Beside {
            dir: log.dir().to_owned(),
            header: log.begin_checkpoint(None),
        });
        let switched = match self.take_on_shards(places).await {
            Ok(prepared) => {
                let committed = self.on_dir(move |dir| rewrite.commit(dir).map(drop)).await?;
                committed.map(|()| prepared).map_err(|error| error.to_string())
            }
            Err(error) => Err(error),
        };
        if switched.is_err() {
            // Its space is missed.
            let _ = self.on_dir(|dir| dir.abandon_rewrite()).await;
        }
        switched
    }

    /// Does something with the data directory on a thread that may block.
    async fn on_dir<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut DataDir<DiskStorage>) -> T + Send + 'static,
    ) -> Result<T, String> {
        let dir = self.dir.clone();
        let acted =
            tokio::task::spawn_blocking(move || act(&mut dir.lock().unwrap_or_else(PoisonError::into_inner)));
        acted.await.map_err(|error| error.to_string())
    }

    /// Has every shard write its checkpoint, and lets them count when all are there. An error of one is an error, and none
    /// counts, but where the very last stage fails.
    async fn take_on_shards(
        &self,
        places: impl Iterator<Item = CheckpointPlace>,
    ) -> Result<Vec<Prepared>, String> {
        let (mut stages, mut prepared) = (Vec::new(), Vec::new());
        for (shard, place) in self.shards.iter().zip(places) {
            let (ask, asked) = mpsc::unbounded_channel();
            let (done, is_done) = oneshot::channel();
            shard.send(ToShard::Checkpoint(CheckpointRequest { place, prepared: done, stages: asked }));
            stages.push(ask);
            prepared.push(is_done);
        }
        let prepared = all(prepared).await?;
        for stage in Stage::ALL {
            all(stages.iter().map(|shard| ask(shard, stage))).await?;
        }
        Ok(prepared)
    }
}

/// Asks a shard for a stage; one that has stopped drops the question.
fn ask(shard: &Stages, stage: Stage) -> oneshot::Receiver<Result<(), String>> {
    let (done, is_done) = oneshot::channel();
    let _ = shard.send((stage, done));
    is_done
}

/// Waits for what all shards say.
async fn all<T>(
    answers: impl IntoIterator<Item = oneshot::Receiver<Result<T, String>>>,
) -> Result<Vec<T>, String> {
    let answers = join_all(answers).await.into_iter();
    answers.map(|answer| answer.map_err(|_| "a shard has stopped".to_owned())?).collect()
}
