//! What can be read of the store: also by a command beside it, when no gate runs.

use super::problem::Problem;
use super::{parse, show, wire};
use crate::clock;
use crate::inventory::error::{ChangeError, Thing};
use crate::inventory::store::Store;
use crate::model::id::ClientId;

pub fn clients(
    store: &Store,
    query: &wire::ListQuery,
) -> Result<wire::Page<wire::Client>, Problem> {
    Ok(show::clients(store.clients(query.after.as_deref().unwrap_or_default())?))
}

pub fn client(store: &Store, id: &str) -> Result<wire::ClientDetail, Problem> {
    let id: ClientId = parse::name("client", id)?;
    let Some(detail) = store.client(&id, clock::wall())? else {
        let (what, name) = (Thing::Client, id.to_string());
        return Err(ChangeError::NotFound { what, name, near: store.near_client(&id)? }.into());
    };
    Ok(show::client_detail(detail))
}

pub fn grants(store: &Store, query: &wire::ListQuery) -> Result<wire::Page<wire::Grant>, Problem> {
    let client = client_of(query)?;
    let mut after = query.after.as_deref().unwrap_or_default().splitn(3, '/');
    let after = [(); 3].map(|()| after.next().unwrap_or_default());
    Ok(show::grants(store.grants(client.as_ref(), after)?))
}

pub fn credentials(
    store: &Store,
    query: &wire::ListQuery,
) -> Result<wire::Page<wire::Credential>, Problem> {
    let client = client_of(query)?;
    let after = query.after.as_deref().unwrap_or_default();
    Ok(show::credentials(store.credentials(client.as_ref(), after)?))
}

fn client_of(query: &wire::ListQuery) -> Result<Option<ClientId>, Problem> {
    Ok(query.client.as_deref().map(|client| parse::name("client", client)).transpose()?)
}
