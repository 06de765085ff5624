//! The storm itself: a shuffled deck of faults, one drawn each time so many runs have begun.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::chance::Chance;
use super::checker::Checker;
use super::enqueuer::{self, Orders};
use super::fleet::Fleet;
use super::proxy::Proxy;
use super::store::{Store, patient_line};
use super::totals;
use crate::harness::{Server, assert_one_place};

/// A storm in which nothing moves for this long has lost something.
const STANDSTILL: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(5);
const PROGRESS: Duration = Duration::from_secs(10);

/// How much of everything.
pub struct Size {
    pub workers: usize,
    /// At least; more are added until the last fault has come.
    pub jobs: u64,
    pub kills: u64,
    pub stops: u64,
    pub outages: u64,
    pub cuts: u64,
    /// How often every job is looked for in every place while the storm blows.
    pub looks: u64,
    pub lease: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Stop,
    Outage,
    Cut,
    Look,
}

impl Size {
    fn deck(&self, chance: &mut Chance) -> Vec<Fault> {
        let mut deck = Vec::new();
        for (fault, count) in [
            (Fault::Kill, self.kills),
            (Fault::Stop, self.stops),
            (Fault::Outage, self.outages),
            (Fault::Cut, self.cuts),
            (Fault::Look, self.looks),
        ] {
            deck.extend(std::iter::repeat_n(fault, count as usize));
        }
        chance.shuffle(&mut deck);
        deck
    }
}

struct Storm {
    server: Server,
    /// Behind the store.
    _effects: Server,
    store: Store,
    fleet: Fleet,
    proxy: Proxy,
    checker: Arc<Mutex<Checker>>,
    orders: Arc<Orders>,
    enqueuer: Option<JoinHandle<()>>,
    chance: Chance,
    lease: Duration,
    began: Instant,
    moved_at: Instant,
    told_at: Instant,
    faults: [u64; 5],
    stops_in_vain: usize,
}

/// The seed is another one where `FLEETQ_STORM_SEED` says so.
pub async fn storm(size: &Size, seed: u64) {
    let seed = std::env::var("FLEETQ_STORM_SEED").map_or(seed, |text| text.parse().unwrap());
    println!("storm with FLEETQ_STORM_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut deck = size.deck(&mut chance);
    let mut storm = Storm::gather(size, chance).await;
    let pace = size.jobs / (deck.len() as u64 + 1);
    loop {
        while let Some(fault) = deck.pop() {
            let due = storm.checker().tallies.runs + pace;
            storm.wait_until(|storm| storm.checker().tallies.runs >= due).await;
            storm.strike(fault).await;
        }
        storm.wait_until(|storm| storm.fleet.all_run()).await;
        // A stop whose worker lost nothing has shown nothing: again.
        let in_vain = std::mem::take(&mut storm.stops_in_vain);
        if in_vain == 0 {
            break;
        }
        deck.extend(std::iter::repeat_n(Fault::Stop, in_vain));
    }
    storm.drain().await;
    storm.judge().await;
}

impl Storm {
    async fn gather(size: &Size, mut chance: Chance) -> Self {
        // Always on disk before it is acknowledged: then what Redis said survives its `kill -9`.
        let on_disk = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
        let server = Server::start_with(&on_disk).await;
        let effects = Server::start().await;
        let store = Store::connect(&effects.url()).await;
        let proxy = Proxy::start(server.socket(), Chance::new(chance.next()));
        let urls = [server.url(), proxy.url()];
        let lines = [
            enqueuer::open(&urls[0], size.lease).await,
            enqueuer::open(&urls[1], size.lease).await,
        ];
        let checker = Arc::new(Mutex::new(Checker::default()));
        let orders = Arc::new(Orders { jobs: size.jobs, ..Orders::default() });
        let enqueuer = tokio::spawn(enqueuer::add_jobs(
            lines,
            Arc::clone(&orders),
            Arc::clone(&checker),
            Chance::new(chance.next()),
        ));
        let fleet = Fleet::start(size.workers, urls, &effects.url(), size.lease);
        Self {
            server,
            _effects: effects,
            store,
            fleet,
            proxy,
            checker,
            orders,
            enqueuer: Some(enqueuer),
            chance,
            lease: size.lease,
            began: Instant::now(),
            moved_at: Instant::now(),
            told_at: Instant::now(),
            faults: [0; 5],
            stops_in_vain: 0,
        }
    }

    fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().unwrap()
    }

    async fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => {
                self.wait_until(|storm| {
                    let mut checker = storm.checker.lock().unwrap();
                    storm.fleet.kill_one(&mut checker, &mut storm.chance)
                })
                .await;
            }
            Fault::Stop => {
                self.wait_until(|storm| {
                    let checker = storm.checker.lock().unwrap();
                    storm.fleet.stop_one(&checker, &mut storm.chance)
                })
                .await;
            }
            Fault::Outage => {
                self.server.kill();
                // Mostly short; one in four outlasts the leases.
                let longest = self.lease.as_millis() as u64;
                let away = match self.chance.roll(4) {
                    0 => longest * 5 / 4,
                    _ => self.chance.roll(longest / 3),
                };
                tokio::time::sleep(Duration::from_millis(away)).await;
                self.server.start_again().await;
            }
            Fault::Cut => self.cut_connections().await,
            Fault::Look => {
                let mut line = patient_line(&self.server.url()).await.unwrap();
                assert_one_place(&mut line).await;
            }
        }
        self.faults[fault as usize] += 1;
    }

    /// All of them, or any one: of a worker, its keeper, one that waits for work, the enqueuer.
    async fn cut_connections(&mut self) {
        let mut line = patient_line(&self.server.url()).await.unwrap();
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL");
        if self.chance.roll(4) == 0 {
            kill.arg("TYPE").arg("normal");
        } else {
            let mut list = redis::cmd("CLIENT");
            let list: String = list.arg("LIST").query_async(&mut line).await.unwrap();
            let ids: Vec<&str> = list
                .lines()
                .filter_map(|line| line.strip_prefix("id=")?.split(' ').next())
                .collect();
            kill.arg("ID").arg(ids[self.chance.roll(ids.len() as u64) as usize]);
        }
        kill.exec_async(&mut line).await.unwrap();
    }

    /// Reads on in the journal and tends the stopped until it is so.
    async fn wait_until(&mut self, mut is_so: impl FnMut(&mut Self) -> bool) {
        self.moved_at = Instant::now();
        loop {
            self.look().await;
            if is_so(self) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&mut self) {
        loop {
            let lines = self.store.read().await;
            if lines.is_empty() {
                break;
            }
            self.moved_at = Instant::now();
            let mut checker = self.checker();
            for line in lines {
                if let Err(broken) = checker.take(&line) {
                    drop(checker);
                    panic!("{broken}; so far: {}", self.so_far());
                }
            }
        }
        self.stops_in_vain += self.fleet.tend(&self.checker.lock().unwrap());
        if self.enqueuer.as_ref().is_some_and(JoinHandle::is_finished) {
            self.enqueuer.take().unwrap().await.unwrap();
        }
        assert!(
            self.moved_at.elapsed() < STANDSTILL,
            "nothing moves any more: {}; {:?}",
            self.so_far(),
            enqueuer::open(&self.server.url(), self.lease).await.depth().await
        );
        if self.told_at.elapsed() > PROGRESS {
            self.told_at = Instant::now();
            println!("{}", self.so_far());
        }
    }

    fn so_far(&self) -> String {
        let checker = self.checker();
        let [kills, stops, outages, cuts, looks] = self.faults;
        format!(
            "{:.0} s: {} jobs, {:?}, {kills} kills, {stops} stops ({} runs taken over), {outages} \
             outages, {cuts} cuts by redis and {} by the line, {looks} looks",
            self.began.elapsed().as_secs_f64(),
            checker.jobs(),
            checker.tallies,
            self.fleet.taken_over,
            self.proxy.cuts(),
        )
    }

    /// No more faults and no more jobs: what is there is worked off.
    async fn drain(&mut self) {
        self.proxy.end_cuts();
        self.orders.over.store(true, Ordering::SeqCst);
        self.wait_until(|storm| storm.enqueuer.is_none()).await;
        let queue = enqueuer::open(&self.server.url(), self.lease).await;
        loop {
            enqueuer::redrive_dead(&queue, &self.orders).await;
            let depth = queue.depth().await.unwrap();
            if depth.unfinished() + depth.dead == 0 {
                break;
            }
            self.look().await;
            tokio::time::sleep(LOOK).await;
        }
        // A worker writes its last line after the queue has answered.
        self.wait_until(|storm| {
            let checker = storm.checker.lock().unwrap();
            storm.fleet.names().all(|name| checker.open_runs(name).is_empty())
        })
        .await;
    }

    async fn judge(&mut self) {
        println!("{}", self.so_far());
        let effects = self.store.effects().await;
        let judged = self.checker().finish(&effects);
        if let Err(broken) = judged {
            panic!("{broken}; at the end: {}", self.so_far());
        }
        let mut line = patient_line(&self.server.url()).await.unwrap();
        assert_eq!(assert_one_place(&mut line).await, 0);
        let tallies = self.checker().tallies;
        totals::check(&mut line, tallies, &self.orders).await;
    }
}
