//! The routes that change more than AWS's own do, and who may use them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};

use super::Token;

/// Lets only who shows the token change something through these routes; without
/// one, everybody who is let in at all.
pub(crate) fn guard(routes: Router, token: Option<&Token>) -> Router {
    match token {
        Some(token) => routes.route_layer(from_fn_with_state(token.clone(), ask)),
        None => routes,
    }
}

/// Where the token is kept.
pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("control-token")
}

/// Writes the token down for those who may read the folder's files, or sees to
/// it that none of an earlier run is there.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn keep(dir: &Path, token: Option<&Token>) -> io::Result<()> {
    let path = file(dir);
    let Some(token) = token else {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    // As a new file, which nobody else may read.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    writeln!(file, "{}", token.secret())?;
    file.persist(&path)?;
    Ok(())
}

async fn ask(State(token): State<Token>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || token.is_shown(request.headers()) {
        return next.run(request).await;
    }
    let said = "faults and the clock are changed by who shows the control token: \
                Authorization: Bearer TOKEN, where TOKEN is what --control-token says, or what \
                is in the file control-token of --dir\n";
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, said).into_response()
}
