//! Answers of the query protocol and of EC2's kind of it: what an operation answers as JSON becomes XML, by the output shape.
//!
//! The answer has been held against its shape ([`super::answer`]): what is there has its kind.
//!
//! **Source:** Smithy, "AWS query protocol" and "AWS EC2 query protocol"; botocore, `parsers.py`.

use std::fmt::Write as _;

use serde_json::Value;

use super::shape::{Kind, Operation, Place, Protocol, ServiceModel, Shape};

/// What XML begins with.
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// An answer.
pub fn answer(model: &ServiceModel, name: &str, operation: &Operation, answer: &Value, request_id: &str) -> String {
    let mut writer = Writer { model, text: DECLARATION.to_owned() };
    let namespace = model.xml_namespace.as_deref().unwrap_or_default();
    let _ = write!(writer.text, "<{name}Response xmlns=\"{namespace}\">");
    let is_ec2 = model.protocol == Protocol::Ec2;
    if is_ec2 {
        writer.leaf("requestId", request_id);
    }
    if let Some(place) = &operation.output {
        let wrapper = place.result_wrapper.as_deref();
        wrapper.inspect(|wrapper| writer.open(wrapper));
        writer.structure(model.at(place), answer);
        wrapper.inspect(|wrapper| writer.close(wrapper));
    }
    if !is_ec2 {
        writer.open("ResponseMetadata");
        writer.leaf("RequestId", request_id);
        writer.close("ResponseMetadata");
    }
    let _ = write!(writer.text, "</{name}Response>");
    writer.text
}

/// An exception. `status` tells whose mistake it is.
pub fn error(model: &ServiceModel, code: &str, message: &str, status: u16, request_id: &str) -> String {
    let mut writer = Writer { model, text: DECLARATION.to_owned() };
    if model.protocol == Protocol::Ec2 {
        writer.text.push_str("<Response><Errors><Error>");
        writer.leaf("Code", code);
        writer.leaf("Message", message);
        writer.text.push_str("</Error></Errors>");
        writer.leaf("RequestID", request_id);
        writer.text.push_str("</Response>");
    } else {
        let namespace = model.xml_namespace.as_deref().unwrap_or_default();
        let _ = write!(writer.text, "<ErrorResponse xmlns=\"{namespace}\"><Error>");
        writer.leaf("Type", if status >= 500 { "Receiver" } else { "Sender" });
        writer.leaf("Code", code);
        writer.leaf("Message", message);
        writer.text.push_str("</Error>");
        writer.leaf("RequestId", request_id);
        writer.text.push_str("</ErrorResponse>");
    }
    writer.text
}

struct Writer<'a> {
    model: &'a ServiceModel,
    text: String,
}

impl Writer<'_> {
    fn open(&mut self, element: &str) {
        let _ = write!(self.text, "<{element}>");
    }

    fn close(&mut self, element: &str) {
        let _ = write!(self.text, "</{element}>");
    }

    fn leaf(&mut self, element: &str, text: &str) {
        self.open(element);
        for letter in text.chars() {
            match letter {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\r' => self.text.push_str("&#13;"),
                '\n' | '\t' => self.text.push(letter),
                // XML has no way to write them.
                '\0'..' ' | '\u{fffe}' | '\u{ffff}' => self.text.push(char::REPLACEMENT_CHARACTER),
                other => self.text.push(other),
            }
        }
        self.close(element);
    }

    fn structure(&mut self, shape: &Shape, value: &Value) {
        let Value::Object(members) = value else { return };
        for (name, value) in members {
            if let Some(place) = shape.members.get(name) {
                self.value(place.location_name.as_deref().unwrap_or(name), place, value);
            }
        }
    }

    fn value(&mut self, element: &str, place: &Place, value: &Value) {
        let model = self.model;
        let shape = model.at(place);
        match (shape.kind, value) {
            (Kind::List, Value::Array(items)) => self.list(element, place, shape, items),
            (Kind::Map, Value::Object(entries)) => {
                let (Some(key_place), Some(value_place)) = (&shape.key, &shape.value) else { return };
                let is_flattened = place.flattened || shape.flattened;
                let entry = if is_flattened { element } else { "entry" };
                if !is_flattened {
                    self.open(element);
                }
                for (key, value) in entries {
                    self.open(entry);
                    self.leaf(key_place.location_name.as_deref().unwrap_or("key"), key);
                    self.value(value_place.location_name.as_deref().unwrap_or("value"), value_place, value);
                    self.close(entry);
                }
                if !is_flattened {
                    self.close(element);
                }
            }
            (Kind::Timestamp, Value::Number(seconds)) => {
                self.leaf(element, &moment(seconds.as_f64().unwrap_or_default()));
            }
            (_, Value::String(text)) => self.leaf(element, text),
            (_, Value::Number(number)) => self.leaf(element, &number.to_string()),
            (_, Value::Bool(flag)) => self.leaf(element, if *flag { "true" } else { "false" }),
            (_, value) => {
                self.open(element);
                self.structure(shape, value);
                self.close(element);
            }
        }
    }

    fn list(&mut self, element: &str, place: &Place, shape: &Shape, items: &[Value]) {
        let Some(of) = &shape.member else { return };
        let item_name = of.location_name.as_deref();
        if place.flattened || shape.flattened {
            items.iter().for_each(|item| self.value(item_name.unwrap_or(element), of, item));
            return;
        }
        self.open(element);
        items.iter().for_each(|item| self.value(item_name.unwrap_or("member"), of, item));
        self.close(element);
    }
}

/// Seconds since 1970 as `2026-11-26T01:02:03.004Z`.
#[expect(clippy::cast_possible_truncation, reason = "beyond the range is beyond any calendar, which is looked at")]
fn moment(seconds: f64) -> String {
    let moment = jiff::Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;
    use crate::api::shape::Service;

    #[track_caller]
    fn check(service: Service, operation: &str, value: &Value, expected: Expect) {
        let model = ServiceModel::of(service);
        let text = answer(&model, operation, &model.operations[operation], value, "a-b");
        expected.assert_eq(&text.replace("><", ">\n<"));
    }

    /// As STS answers, by the API reference of GetCallerIdentity.
    #[test]
    fn an_answer_of_the_query_protocol() {
        check(
            Service::Sts,
            "GetCallerIdentity",
            &json!({"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/<&>"}),
            expect![[r#"
                <?xml version="1.0" encoding="UTF-8"?>
                <GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
                <GetCallerIdentityResult>
                <Account>123456789012</Account>
                <Arn>arn:aws:iam::123456789012:user/&lt;&amp;&gt;</Arn>
                </GetCallerIdentityResult>
                <ResponseMetadata>
                <RequestId>a-b</RequestId>
                </ResponseMetadata>
                </GetCallerIdentityResponse>"#]],
        );
        check(
            Service::AutoScaling,
            "DescribeAutoScalingInstances",
            &json!({"AutoScalingInstances": [{"InstanceId": "i-1", "ProtectedFromScaleIn": true}, {"InstanceId": "i-2"}]}),
            expect![[r#"
                <?xml version="1.0" encoding="UTF-8"?>
                <DescribeAutoScalingInstancesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
                <DescribeAutoScalingInstancesResult>
                <AutoScalingInstances>
                <member>
                <InstanceId>i-1</InstanceId>
                <ProtectedFromScaleIn>true</ProtectedFromScaleIn>
                </member>
                <member>
                <InstanceId>i-2</InstanceId>
                </member>
                </AutoScalingInstances>
                </DescribeAutoScalingInstancesResult>
                <ResponseMetadata>
                <RequestId>a-b</RequestId>
                </ResponseMetadata>
                </DescribeAutoScalingInstancesResponse>"#]],
        );
    }

    /// As EC2 answers: sets of items, and names of their own.
    #[test]
    fn an_answer_of_ec2() {
        check(
            Service::Ec2,
            "RunInstances",
            &json!({"Instances": [{"InstanceId": "i-1", "LaunchTime": 1_795_654_923.5, "AmiLaunchIndex": 0,
                    "State": {"Code": 0, "Name": "pending"}, "Tags": [{"Key": "k", "Value": "\u{1}"}]}]}),
            expect![[r#"
                <?xml version="1.0" encoding="UTF-8"?>
                <RunInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15">
                <requestId>a-b</requestId>
                <instancesSet>
                <item>
                <amiLaunchIndex>0</amiLaunchIndex>
                <instanceId>i-1</instanceId>
                <launchTime>2026-11-26T01:02:03.500Z</launchTime>
                <instanceState>
                <code>0</code>
                <name>pending</name>
                </instanceState>
                <tagSet>
                <item>
                <key>k</key>
                <value>�</value>
                </item>
                </tagSet>
                </item>
                </instancesSet>
                </RunInstancesResponse>"#]],
        );
    }

    /// The three ways in which exceptions are written.
    #[test]
    fn exceptions() {
        let (sts, ec2) = (ServiceModel::of(Service::Sts), ServiceModel::of(Service::Ec2));
        let text = error(&sts, "SignatureDoesNotMatch", "no", 403, "a-b")
            + "\n"
            + &error(&ec2, "AuthFailure", "no", 401, "a-b");
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
            <Error>
            <Type>Sender</Type>
            <Code>SignatureDoesNotMatch</Code>
            <Message>no</Message>
            </Error>
            <RequestId>a-b</RequestId>
            </ErrorResponse>
            <?xml version="1.0" encoding="UTF-8"?>
            <Response>
            <Errors>
            <Error>
            <Code>AuthFailure</Code>
            <Message>no</Message>
            </Error>
            </Errors>
            <RequestID>a-b</RequestID>
            </Response>"#]]
        .assert_eq(&text.replace("><", ">\n<"));
    }
}
