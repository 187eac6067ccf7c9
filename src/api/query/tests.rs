//! Forms as botocore writes them, and as nobody should.

use serde_json::json;

use super::*;
use crate::api::shape::Service;

#[track_caller]
fn check(service: Service, body: &str, expected: Value) {
    let form = Form::parse(body.as_bytes()).expect("it is a form");
    let model = ServiceModel::of(service);
    let operation = form.text("Action").expect("it names an action");
    let place = model.operations[operation].input.clone().expect("it takes something");
    assert_eq!(form.members(&model, &place), expected);
}

/// As botocore 1.44 sends it: `create_auto_scaling_group(AutoScalingGroupName='web', MinSize=1, MaxSize=3, AvailabilityZones=['a', 'b'],
/// NewInstancesProtectedFromScaleIn=True, Tags=[{'Key': 'team', 'Value': 'a b&c'}])`.
#[test]
fn a_form_of_auto_scaling() {
    check(
        Service::AutoScaling,
        "Action=CreateAutoScalingGroup&Version=2011-01-01&AutoScalingGroupName=web&MinSize=1&MaxSize=3&\
         AvailabilityZones.member.1=a&AvailabilityZones.member.2=b&NewInstancesProtectedFromScaleIn=true&\
         Tags.member.1.Key=team&Tags.member.1.Value=a+b%26c",
        json!({"AutoScalingGroupName": "web", "MinSize": 1, "MaxSize": 3, "AvailabilityZones": ["a", "b"],
               "NewInstancesProtectedFromScaleIn": true, "Tags": [{"Key": "team", "Value": "a b&c"}]}),
    );
}

/// As botocore sends it: lists of EC2 have no element of their own around their items, and names of their own.
#[test]
fn a_form_of_ec2() {
    check(
        Service::Ec2,
        "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&InstanceType=m7i.large&MaxCount=2&MinCount=1&UserData=YQ%3D%3D&\
         TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v&\
         SecurityGroupId.1=sg-1&EbsOptimized=false",
        json!({"ImageId": "ami-1", "InstanceType": "m7i.large", "MaxCount": 2, "MinCount": 1, "UserData": "YQ==",
               "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "k", "Value": "v"}]}],
               "SecurityGroupIds": ["sg-1"], "EbsOptimized": false}),
    );
    check(
        Service::Ec2,
        "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=instance-state-name&Filter.1.Value.1=running&\
         Filter.1.Value.2=pending&InstanceId.1=i-1",
        json!({"Filters": [{"Name": "instance-state-name", "Values": ["running", "pending"]}], "InstanceIds": ["i-1"]}),
    );
}

/// Items come in the order of their numbers, an empty list is one, times are seconds, and what is no number stays a text.
#[test]
fn values_of_all_kinds() {
    let body: String = (1..=11).rev().map(|n| format!("&InstanceIds.member.{n}=i-{n}")).collect();
    let ids: Vec<String> = (1..=11).map(|n| format!("i-{n}")).collect();
    check(
        Service::AutoScaling,
        &format!("Action=DescribeAutoScalingInstances&MaxRecords=many{body}"),
        json!({"InstanceIds": ids, "MaxRecords": "many"}),
    );
    check(
        Service::AutoScaling,
        "Action=DescribeAutoScalingGroups&AutoScalingGroupNames=",
        json!({"AutoScalingGroupNames": []}),
    );
    for moment in ["2026-11-26T01:02:03Z", "1795654923"] {
        check(
            Service::Ec2,
            &format!("Action=RunInstances&InstanceMarketOptions.SpotOptions.ValidUntil={moment}"),
            json!({"InstanceMarketOptions": {"SpotOptions": {"ValidUntil": 1_795_654_923.0}}}),
        );
    }
}

/// What is no form is refused, and nothing is too deep or too much to be read.
#[test]
fn what_is_no_form() {
    for body in ["Action=%4", "Action=%zz", "Action=%ff", &["a."; 40].concat(), &"a=1&".repeat(20_000)] {
        assert_eq!(Form::parse(body.as_bytes()).expect_err(body).exception, "MalformedQueryString");
    }
    assert!(Form::parse(&[0xff, 0xfe]).is_err());
    assert_eq!(Form::parse(b"").expect("an empty one").text("Action"), None);
    check(
        Service::AutoScaling,
        "Action=DescribeAutoScalingGroups&Made.Up=1&Filters.member.x.Name=y",
        json!({"Filters": []}),
    );
}
