//! A site's files: a folder for each job revision, written once, and a link for each slug that
//! follows the store's row. What is published the row says; nothing here decides it.
//!
//! ```text
//! DEPLOY_DIR/versions/JOB/r1-0/…    the files of the first site of revision 1
//! DEPLOY_DIR/live/SLUG              a link to one of these, for other web servers
//! ```

mod error;
mod live;
mod versions;

pub use error::DeployError;
pub use versions::{Sites, Source};
