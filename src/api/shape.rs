//! The shapes of what clients send and are answered: AWS' service models, as data.
//!
//! The models beside this file are facts taken from botocore's by `models/extract.py`: operations, members, types, constraints. What a
//! member means is not in them, and nothing of it is decided here.
//!
//! **Source:** botocore, `data/*/service-2.json` (the version is in each model).

use std::collections::BTreeMap;

use serde::Deserialize;

/// The services that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Amazon ECS.
    Ecs,
    /// Application Auto Scaling.
    ApplicationAutoScaling,
    /// Amazon EC2 Auto Scaling.
    AutoScaling,
    /// Amazon EC2.
    Ec2,
    /// AWS Security Token Service.
    Sts,
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 5] =
        [Service::Ecs, Service::ApplicationAutoScaling, Service::AutoScaling, Service::Ec2, Service::Sts];

    /// Its name in the scope of a signature.
    pub fn signing_name(self) -> &'static str {
        match self {
            Service::Ecs => "ecs",
            Service::ApplicationAutoScaling => "application-autoscaling",
            Service::AutoScaling => "autoscaling",
            Service::Ec2 => "ec2",
            Service::Sts => "sts",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Service::Ecs => include_str!("models/ecs.json"),
            Service::ApplicationAutoScaling => include_str!("models/application-autoscaling.json"),
            Service::AutoScaling => include_str!("models/autoscaling.json"),
            Service::Ec2 => include_str!("models/ec2.json"),
            Service::Sts => include_str!("models/sts.json"),
        }
    }
}

/// How requests and answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// AWS JSON 1.1, told by `X-Amz-Target`.
    Json,
    /// A form, answered in XML.
    Query,
    /// EC2's kind of the same.
    Ec2,
}

/// A service: its operations and their shapes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceModel {
    /// The version of its API, a date.
    pub api_version: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// What stands before the operation in `X-Amz-Target`.
    pub target_prefix: Option<String>,
    /// The namespace of its XML.
    pub xml_namespace: Option<String>,
    /// By name.
    pub operations: BTreeMap<String, Operation>,
    /// By name.
    pub shapes: BTreeMap<String, Shape>,
}

/// An operation.
#[derive(Debug, Deserialize)]
pub struct Operation {
    /// The exceptions that it declares.
    pub errors: Vec<String>,
    /// What it takes; nothing where there is none.
    pub input: Option<Place>,
    /// What it answers; nothing where there is none.
    pub output: Option<Place>,
}

/// A shape at its place: in an operation, a member, a list or a map.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The shape's name.
    pub shape: String,
    /// The name in XML and forms, if it is another than the member's.
    pub location_name: Option<String>,
    /// The name in EC2's forms.
    pub query_name: Option<String>,
    /// Whether a list has no element of its own around its items.
    #[serde(default)]
    pub flattened: bool,
    /// The element around an answer.
    pub result_wrapper: Option<String>,
}

/// A shape and its constraints.
#[derive(Debug, Deserialize)]
pub struct Shape {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Members of a structure that must be there.
    #[serde(default)]
    pub required: Vec<String>,
    /// Members of a structure.
    #[serde(default)]
    pub members: BTreeMap<String, Place>,
    /// What a list holds.
    pub member: Option<Place>,
    /// What a map's keys are.
    pub key: Option<Place>,
    /// What a map's values are.
    pub value: Option<Place>,
    /// The values that a text may have.
    #[serde(default, rename = "enum")]
    pub values: Vec<String>,
    /// The least length or number.
    pub min: Option<f64>,
    /// The greatest length or number.
    pub max: Option<f64>,
    /// What the whole of a text has to match.
    pub pattern: Option<String>,
    /// Whether exactly one member is to be there.
    #[serde(default)]
    pub union: bool,
    /// Whether it is any JSON.
    #[serde(default)]
    pub document: bool,
    /// Whether a list has no element of its own around its items.
    #[serde(default)]
    pub flattened: bool,
    /// How an exception is answered, if the model says.
    pub error: Option<ErrorTrait>,
}

/// How an exception is answered.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorTrait {
    /// Its code, if it is another than the shape's name.
    pub code: Option<String>,
    /// Its status.
    pub http_status_code: Option<u16>,
}

/// The kinds of shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Members by name.
    Structure,
    /// Values of one shape.
    List,
    /// Values by key.
    Map,
    /// A text.
    String,
    /// A number of 32 bits.
    Integer,
    /// A number of 64 bits.
    Long,
    /// A number with a fraction.
    Double,
    /// The same, shorter.
    Float,
    /// True or false.
    Boolean,
    /// A moment.
    Timestamp,
    /// Bytes, as base64.
    Blob,
}

impl ServiceModel {
    /// The model of a service.
    pub fn of(service: Service) -> ServiceModel {
        serde_json::from_str(service.text()).expect("the models are part of the program, and a test reads each")
    }

    /// The shape at a place.
    ///
    /// # Panics
    /// When the model does not have it: then it was taken over wrongly.
    pub fn at(&self, place: &Place) -> &Shape {
        self.shape(&place.shape)
    }

    /// A shape by name.
    ///
    /// # Panics
    /// When the model does not have it: then it was taken over wrongly.
    pub fn shape(&self, name: &str) -> &Shape {
        self.shapes.get(name).unwrap_or_else(|| panic!("the model has no shape {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every model can be read, and no shape is missing. ECS has the operations of ecs-semantics §11.4: 88 without those of the
    /// families that came later.
    #[test]
    fn the_models_are_whole() {
        for service in Service::ALL {
            let model = ServiceModel::of(service);
            for operation in model.operations.values() {
                let places = operation.input.iter().chain(&operation.output);
                places.for_each(|place| assert_eq!(model.at(place).kind, Kind::Structure));
                operation.errors.iter().for_each(|name| assert_eq!(model.shape(name).kind, Kind::Structure));
            }
            for shape in model.shapes.values() {
                let places = shape.members.values().chain(&shape.member).chain(&shape.key).chain(&shape.value);
                places.for_each(|place| assert!(model.shapes.contains_key(&place.shape)));
            }
        }
        assert_eq!(ServiceModel::of(Service::Ecs).operations.len(), 88 - 27);
    }
}
