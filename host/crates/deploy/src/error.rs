//! What can go wrong while a site is laid out. Whose fault it is, the variant says.

use std::io;
use thiserror::Error;

/// Why a site couldn't be laid out.
#[derive(Debug, Error)]
pub enum DeployError {
    /// The plan names what the workspace doesn't have, or has too much of.
    #[error("{0}")]
    Plan(String),
    /// The workspace's files couldn't be read.
    #[error("a file of the site couldn't be read: {0}")]
    Source(String),
    /// The folder of sites couldn't be written.
    #[error("the folder of sites (DEPLOY_DIR) couldn't be written: {0}")]
    Folder(#[from] io::Error),
}
