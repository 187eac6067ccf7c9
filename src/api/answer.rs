//! What an operation answers, held against its shape.
//!
//! Moments are numbers of seconds, also where what is shown has them as texts, as events do. An answer has no null, no member that the model lacks, and no text that an enumeration does not have: clients with types fail on
//! these. What breaks a rule is taken out, and named, since it is our mistake.

use serde_json::{Map, Value};

use super::shape::{Kind, Place, ServiceModel, Shape};

/// Takes out of an answer what its shape does not have. Nulls go silently: they are how handlers say that something is not there.
/// Everything else is named in `mistakes`, by its path.
pub fn fit(model: &ServiceModel, place: &Place, answer: Value, mistakes: &mut Vec<String>) -> Value {
    fit_value(model, "", model.at(place), answer, mistakes).unwrap_or_else(|| Value::Object(Map::new()))
}

fn fit_value(
    model: &ServiceModel,
    path: &str,
    shape: &Shape,
    value: Value,
    mistakes: &mut Vec<String>,
) -> Option<Value> {
    if value.is_null() {
        return None;
    }
    if shape.document {
        return Some(value);
    }
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(members)) => {
            let mut fitted = Map::new();
            for (name, value) in members {
                let path = format!("{path}.{name}");
                match shape.members.get(&name) {
                    Some(place) => {
                        if let Some(value) = fit_value(model, &path, model.at(place), value, mistakes) {
                            fitted.insert(name, value);
                        }
                    }
                    None => mistakes.push(format!("{path}: the model has no such member")),
                }
            }
            Some(Value::Object(fitted))
        }
        (Kind::List, Value::Array(items)) => {
            let of = model.at(shape.member.as_ref()?);
            let path = format!("{path}[]");
            Some(items.into_iter().filter_map(|item| fit_value(model, &path, of, item, mistakes)).collect())
        }
        (Kind::Map, Value::Object(entries)) => {
            let of = model.at(shape.value.as_ref()?);
            let path = format!("{path}{{}}");
            let fitted = entries
                .into_iter()
                .filter_map(|(key, value)| Some((key, fit_value(model, &path, of, value, mistakes)?)));
            Some(Value::Object(fitted.collect()))
        }
        (Kind::String | Kind::Blob, Value::String(text)) => {
            if shape.values.is_empty() || shape.values.contains(&text) {
                return Some(Value::String(text));
            }
            mistakes.push(format!("{path}: '{text}' is not of the enumeration"));
            None
        }
        (Kind::Integer | Kind::Long, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Some(Value::Number(number))
        }
        (Kind::Double | Kind::Float | Kind::Timestamp, Value::Number(number)) => Some(Value::Number(number)),
        (Kind::Timestamp, Value::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(moment) => Some(super::epoch_seconds(moment)),
            Err(_) => {
                mistakes.push(format!("{path}: '{text}' is no moment"));
                None
            }
        },
        (Kind::Boolean, Value::Bool(value)) => Some(Value::Bool(value)),
        (kind, value) => {
            mistakes.push(format!("{path}: {value} is no {kind:?}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::shape::Service;

    #[test]
    fn answers_fit_their_shapes() {
        let model = ServiceModel::of(Service::Ecs);
        let place = model.operations["DescribeTasks"].output.clone().expect("it answers");
        let mut mistakes = Vec::new();
        let answer = json!({
            "tasks": [{"taskArn": "a", "launchType": "", "startedAt": null, "made": "up", "createdAt": 1.5, "cpu": 256}],
            "failures": []
        });
        let fitted = fit(&model, &place, answer, &mut mistakes);
        assert_eq!(fitted, json!({"tasks": [{"taskArn": "a", "createdAt": 1.5}], "failures": []}));
        assert_eq!(
            mistakes,
            [
                ".tasks[].cpu: 256 is no String",
                ".tasks[].launchType: '' is not of the enumeration",
                ".tasks[].made: the model has no such member"
            ]
        );
    }
}
