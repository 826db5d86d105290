//! The description of the calls as OpenAPI 3.1: made from the code, served, and written into the documents.

use super::access::SCHEME;
use super::call::CALL_ID;
use super::failure::ErrorBody;
use super::router;
use crate::gateway::Gateway;
use axum::Json;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, HeaderBuilder, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, Required,
    ResponseBuilder, Type,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The name under which a program repeats a call.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What stands above the calls.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("VettID gateway")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The face of a VettID gateway for the programs of its service."))
        .license(Some(License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// The whole description.
#[must_use]
pub fn document() -> OpenApi {
    let mut document = router::calls().into_openapi();
    let components = document.components.get_or_insert_default();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key; the scopes that a call needs are named with it, any one of them is enough."))
        .build();
    components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
    let mut schemas = Vec::new();
    ErrorBody::schemas(&mut schemas);
    components.schemas.insert("Error".to_owned(), ErrorBody::schema());
    components.schemas.extend(schemas);
    for item in document.paths.paths.values_mut() {
        for (repeatable, operation) in [
            (false, &mut item.get),
            (true, &mut item.post),
            (false, &mut item.put),
            (false, &mut item.delete),
            (false, &mut item.patch),
        ] {
            if let Some(operation) = operation {
                complete(operation, repeatable);
            }
        }
    }
    document
}

/// What every call has.
fn complete(operation: &mut Operation, repeatable: bool) {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let failure = ResponseBuilder::new()
        .description("The call has no result.")
        .content("application/json", Content::new(Some(Ref::from_schema_name("Error"))))
        .header(
            CALL_ID.as_str(),
            HeaderBuilder::new().schema(Some(text())).description(Some("Names the call.")).build(),
        );
    operation.responses.responses.insert("default".to_owned(), failure.build().into());
    if repeatable {
        let key = ParameterBuilder::new()
            .name(IDEMPOTENCY_KEY)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Names the call: repeated with the same name and body within 24 hours, it has no second effect and the \
                 same answer.",
            ))
            .schema(Some(text().min_length(Some(1)).max_length(Some(255))));
        operation.parameters.get_or_insert_default().push(key.build().into());
    }
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "gateway", operation_id = "openapi", security(()),
    responses((status = 200, description = "The OpenAPI document.", body = Object)),
)]
async fn show() -> Json<OpenApi> {
    Json(document())
}
