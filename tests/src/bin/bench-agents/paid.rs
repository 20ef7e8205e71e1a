//! Runs paid from a store in SQLite, each with a budget of its own.

use gateway::Run;
use pipeline::BudgetKind;
use store::{BudgetOf, Options, Sqlite};
use tempfile::TempDir;
use tests::bank::Bank;

pub(crate) struct Paid {
    bank: Bank<Sqlite>,
    /// Where the store is; it goes with this.
    _folder: TempDir,
}

impl Paid {
    pub(crate) async fn by(provider: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gantry.db");
        let store = Sqlite::open(&path, Options::default()).await.unwrap();
        let provider = format!("http://{provider}");
        Self {
            bank: Bank::open(store, "bench", &provider, "the-real-key").await,
            _folder: folder,
        }
    }

    /// A run with a budget in micro-dollars.
    pub(crate) async fn run(&self, number: usize, budget: u64) -> Run {
        let planned = BudgetOf {
            planned: Some(budget),
            ceiling: None,
        };
        self.bank.run(number, BudgetKind::Phase, planned).await
    }

    /// What that run has spent, in micro-dollars.
    pub(crate) async fn spent(&self, number: usize) -> u64 {
        self.bank.spent(number).await.usage.cost_micro_usd
    }
}
