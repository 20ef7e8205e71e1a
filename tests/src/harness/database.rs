//! A database of one's own on the test's PostgreSQL server, gone when it is dropped. It makes no
//! table: the host does.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::parts::{Part, Parts};

/// A fresh database.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Makes one.
    pub async fn new(parts: Parts) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = Self {
            server: parts.place(Part::Postgres),
            name: format!("gantry_e2e_{}_{number}", std::process::id()),
        };
        database
            .run(&format!("CREATE DATABASE {}", database.name))
            .await;
        database
    }

    /// What `DATABASE_URL` takes.
    #[must_use]
    pub fn url(&self) -> String {
        let (path, query) = match self.server.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (self.server.as_str(), String::new()),
        };
        let (server, _) = path.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}{query}", self.name)
    }

    /// Cuts every connection to it and lets none in, as a server that went away.
    pub async fn go_away(&self) {
        self.run(&format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS false",
            self.name
        ))
        .await;
        self.run(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        ))
        .await;
    }

    /// Lets connections in again.
    pub async fn come_back(&self) {
        self.run(&format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS true",
            self.name
        ))
        .await;
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> sqlx::PgConnection {
        connect(&self.url()).await
    }

    /// How many connections it has.
    pub async fn connections(&self) -> i64 {
        let mut server = connect(&self.server).await;
        let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
        let row = sqlx::query(count)
            .bind(&self.name)
            .fetch_one(&mut server)
            .await
            .unwrap();
        row.get(0)
    }

    async fn run(&self, sql: &str) {
        run(&self.server, sql).await;
    }
}

async fn connect(server: &str) -> sqlx::PgConnection {
    let options: PgConnectOptions = server.parse().unwrap();
    options
        .disable_statement_logging()
        .connect()
        .await
        .expect("the test's server answers")
}

async fn run(server: &str, sql: &str) {
    let mut connection = connect(server).await;
    // The names in it are this file's own.
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    let _ = connection.close().await;
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            runtime.unwrap().block_on(run(&server, &drop));
        });
        if dropped.join().is_err() {
            println!("the database {} is left", self.name);
        }
    }
}
