//! Pieces of SQL that both databases share word by word.

/// The line that a job of this pipeline and group has to stand in first; none where it is ready.
macro_rules! line {
    ($pipeline:literal, $group:literal) => {
        concat!(
            "CASE WHEN ",
            paused!($pipeline),
            " THEN 'pause' WHEN EXISTS (SELECT 1 FROM gates WHERE kind = 'group' AND name = ",
            $group,
            " AND (capacity IS NOT NULL OR rate_jobs IS NOT NULL)) THEN 'group' WHEN ",
            limited!($pipeline),
            " THEN 'pipeline' END"
        )
    };
}

/// The same for a job that its group let through.
macro_rules! line_after_group {
    ($pipeline:literal) => {
        concat!(
            "CASE WHEN ",
            paused!($pipeline),
            " THEN 'pause' WHEN ",
            limited!($pipeline),
            " THEN 'pipeline' END"
        )
    };
}

/// Whether no job of this pipeline may start.
macro_rules! paused {
    ($pipeline:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM gates WHERE paused AND (kind = 'all' ",
            "OR kind = 'pipeline' AND name = ",
            $pipeline,
            "))"
        )
    };
}

/// Whether only so many jobs of this pipeline may run at once.
macro_rules! limited {
    ($pipeline:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM gates WHERE kind = 'pipeline' AND name = ",
            $pipeline,
            " AND capacity IS NOT NULL)"
        )
    };
}

/// Asked once a statement, not once a row. What a new pause hasn't reached yet is passed over.
macro_rules! not_paused {
    () => {
        "AND (status = 'running' OR NOT EXISTS (SELECT 1 FROM gates WHERE paused AND kind = 'all') \
         AND pipeline NOT IN (SELECT name FROM gates WHERE paused AND kind = 'pipeline')) "
    };
}
