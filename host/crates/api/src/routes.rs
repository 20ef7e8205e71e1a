//! Every route in one table: the method, where, who may, and who answers. What is asked of a
//! request that may not pass is `auth`'s.

use crate::{
    Shared, archive, budgets, bulk, changes, day_budgets, events, files, gallery, gates, health,
    jobs, logs, pipelines, plugins, session, sites, stats, tokens,
};
use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};
use pipeline::Scope;
use std::collections::HashMap;
use std::sync::Arc;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Everybody: nothing is looked at but where the request came from.
    Public,
    /// Whoever has a token, whatever it lets them do.
    Known,
    /// The scope `read`.
    Read,
    /// The scope `read`, and a token that is bound to no groups: the answer is about all jobs.
    ReadAll,
    /// The scope `submit`.
    Submit,
    /// The scope `admin`, which no token that is bound to groups has.
    Admin,
}

impl Need {
    /// The scope that a token must have.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::Public | Self::Known => None,
            Self::Read | Self::ReadAll => Some(Scope::Read),
            Self::Submit => Some(Scope::Submit),
            Self::Admin => Some(Scope::Admin),
        }
    }

    /// Whether a token that is bound to groups may never.
    pub const fn is_of_all(self) -> bool {
        matches!(self, Self::ReadAll | Self::Admin)
    }
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET` stands for `HEAD`, too.
    pub method: Method,
    /// As the router has it, with `{id}` and the like.
    pub path: &'static str,
    /// Who may.
    pub need: Need,
}

/// The routes, and the router that is made of them.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) router: Router<Arc<Shared>>,
    pub(crate) routes: Vec<Route>,
}

/// The table. A test holds the page of the book against it.
pub(crate) fn table() -> Table {
    use Need::{Admin, Known, Public, Read, ReadAll, Submit};
    Table::default()
        .post("/api/jobs", Submit, jobs::submit)
        .get("/api/jobs", Read, jobs::list)
        .post("/api/jobs/retry", Submit, bulk::retry)
        .post("/api/jobs/cancel", Submit, bulk::cancel)
        .get("/api/jobs/{id}", Read, jobs::read)
        .delete("/api/jobs/{id}", Submit, jobs::delete)
        .post("/api/jobs/{id}/cancel", Submit, jobs::cancel)
        .post("/api/jobs/{id}/retry", Submit, jobs::retry)
        .post("/api/jobs/{id}/feedback", Submit, jobs::feedback)
        .post("/api/jobs/{id}/resume", Submit, budgets::resume)
        .put("/api/jobs/{id}/budget", Admin, budgets::put_job)
        .get("/api/jobs/{id}/logs", Read, logs::read)
        .get("/api/jobs/{id}/events", Read, events::of_job)
        .get("/api/jobs/{id}/files", Read, files::list)
        .get("/api/jobs/{id}/files/{*path}", Read, files::open)
        .get("/api/jobs/{id}/archive", Read, archive::read)
        .get(
            "/api/jobs/{id}/attempts/{phase}/{attempt}/diff",
            Read,
            changes::read,
        )
        .get("/api/events", Read, events::of_all)
        .get("/api/sites", Read, sites::list)
        .delete("/api/sites/{slug}", Admin, sites::delete)
        .get("/api/plugins", Read, plugins::list)
        .post("/api/plugins/{name}/rollback", Admin, plugins::roll_back)
        .post("/api/plugins/{name}/release", Admin, plugins::release)
        .get("/api/plugins/{name}/calls", ReadAll, plugins::calls)
        .get("/api/pipelines", Read, pipelines::list)
        .post("/api/pipelines/{name}/pause", Admin, gates::pause)
        .post("/api/pipelines/{name}/resume", Admin, gates::resume)
        .post("/api/pause", Admin, gates::pause_all)
        .post("/api/resume", Admin, gates::resume_all)
        .get("/api/gates", Read, gates::list)
        .put("/api/groups/{name}", Admin, gates::put_group)
        .get("/api/budgets", ReadAll, day_budgets::read)
        .put("/api/budgets/day", Admin, day_budgets::put)
        .get("/api/stats", Read, stats::read)
        .get("/api/tokens", Admin, tokens::list)
        .post("/api/tokens", Admin, tokens::create)
        .delete("/api/tokens/{id}", Admin, tokens::revoke)
        .get("/api/session", Known, session::read)
        .post("/api/session", Public, session::begin)
        .delete("/api/session", Public, session::end)
        .get("/metrics", ReadAll, health::metrics)
        .get("/", Public, gallery::index)
        .get("/gallery/{*path}", Public, gallery::file)
        .get("/sites/{*rest}", Public, sites::lead)
        .get("/health", Public, health::live)
        .get("/livez", Public, health::live)
        .get("/readyz", Public, health::ready)
}

impl Table {
    fn get<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Arc<Shared>>,
    ) -> Self {
        self.add(Method::GET, MethodFilter::GET, path, need, handler)
    }

    fn post<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Arc<Shared>>,
    ) -> Self {
        self.add(Method::POST, MethodFilter::POST, path, need, handler)
    }

    fn put<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Arc<Shared>>,
    ) -> Self {
        self.add(Method::PUT, MethodFilter::PUT, path, need, handler)
    }

    fn delete<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Arc<Shared>>,
    ) -> Self {
        self.add(Method::DELETE, MethodFilter::DELETE, path, need, handler)
    }

    fn add<T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Arc<Shared>>,
    ) -> Self {
        self.router = self.router.route(path, on(filter, handler));
        self.routes.push(Route { method, path, need });
        self
    }
}

/// The table by what a request names.
pub(crate) struct Needs(HashMap<&'static str, Vec<(Method, Need)>>);

impl Needs {
    pub(crate) fn new(routes: &[Route]) -> Self {
        let mut needs = Self(HashMap::new());
        for Route { method, path, need } in routes {
            let of_path = needs.0.entry(path).or_default();
            of_path.push((method.clone(), *need));
        }
        needs
    }

    /// What a request to this route needs; none where the table has no such row.
    pub(crate) fn of(&self, method: &Method, route: &str) -> Option<Need> {
        let method = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        let mut of_path = self.0.get(route)?.iter();
        of_path.find(|row| row.0 == *method).map(|row| row.1)
    }
}
