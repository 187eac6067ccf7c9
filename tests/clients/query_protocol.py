"""The query protocol and EC2's kind of it, as a client has to speak them: members as a form, and XML as members.

botocore has both, too, but would not send what is wrong, and would not say what of an answer the model lacks.

Source: Smithy, "AWS query protocol" and "AWS EC2 query protocol"; botocore, serialize.py and parsers.py.
"""

import datetime
import xml.etree.ElementTree

ParseError = xml.etree.ElementTree.ParseError


def form(model, operation, members):
    """The parameters of a request. Values of another kind than their shape's are written as what they are."""
    parameters = {"Action": operation, "Version": model.metadata["apiVersion"]}
    if name := model.input(operation):
        parameters.update(structure(model, model.shape(name), members, ""))
    return parameters


def parameters_of(model, place, value, prefix):
    shape = model.shape(place["shape"])
    kind, is_ec2 = shape["type"], model.metadata["protocol"] == "ec2"
    if isinstance(value, dict) and kind != "map":
        return structure(model, shape, value, prefix + ".")
    if isinstance(value, dict):
        is_flat = shape.get("flattened") or place.get("flattened")
        found = {}
        for index, (key, of) in enumerate(value.items(), 1):
            entry = f"{prefix}.{index}" if is_flat else f"{prefix}.entry.{index}"
            found[f"{entry}.{shape['key'].get('locationName', 'key')}"] = key
            name = shape["value"].get("locationName", "value")
            found.update(parameters_of(model, shape["value"], of, f"{entry}.{name}"))
        return found
    if isinstance(value, list):
        item = shape.get("member", {"shape": place["shape"]})
        if not value and not is_ec2:
            return {prefix: ""}
        if not is_ec2 and not (shape.get("flattened") or place.get("flattened")):
            prefix = f"{prefix}.{item.get('locationName', 'member')}"
        found = {}
        for index, of in enumerate(value, 1):
            found.update(parameters_of(model, item, of, f"{prefix}.{index}"))
        return found
    if isinstance(value, bool):
        return {prefix: "true" if value else "false"}
    if kind == "timestamp" and isinstance(value, (int, float)):
        return {prefix: datetime.datetime.fromtimestamp(value, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {prefix: str(value)}


def structure(model, shape, members, prefix):
    found = {}
    for name, value in members.items():
        place = shape.get("members", {}).get(name)
        if place is None or value is None:
            continue
        found.update(parameters_of(model, place, value, prefix + wire_name(model, name, place)))
    return found


def wire_name(model, name, place):
    if model.metadata["protocol"] == "ec2":
        if "queryName" in place:
            return place["queryName"]
        name = place.get("locationName", name)
        return name[0].upper() + name[1:]
    shape = model.shape(place["shape"])
    if shape["type"] == "list" and (shape.get("flattened") or place.get("flattened")):
        return shape["member"].get("locationName", place.get("locationName", name))
    return place.get("locationName", name)


def error_in(model, root):
    """The code and the message of an error in the protocol's form; nothing where it is in another."""
    within = "Errors/Error" if model.metadata["protocol"] == "ec2" else "Error"
    request_id = "RequestID" if model.metadata["protocol"] == "ec2" else "RequestId"
    root_name = "Response" if model.metadata["protocol"] == "ec2" else "ErrorResponse"
    error = without_namespaces(root).find(within)
    if root.tag != root_name or error is None or root.find(request_id) is None:
        return None, None
    return error.findtext("Code"), error.findtext("Message")


def answer_in(model, operation, root):
    """The members of an answer, and what of it is not as the model has it."""
    root, misfits = without_namespaces(root), []
    if root.tag != f"{operation}Response":
        return {}, [f"the answer is {root.tag}"]
    output = model.operations[operation].get("output")
    if output is None:
        return {}, misfits
    if wrapper := output.get("resultWrapper"):
        root = root.find(wrapper)
        if root is None:
            return {}, [f"{wrapper} is missing"]
    return read_structure(model, model.shape(output["shape"]), root, misfits), misfits


def without_namespaces(root):
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def read_structure(model, shape, element, misfits):
    places, found = {}, {}
    for name, place in shape.get("members", {}).items():
        of = model.shape(place["shape"])
        is_flat = of["type"] == "list" and (of.get("flattened") or place.get("flattened"))
        item_name = of["member"].get("locationName") if is_flat else None
        places[item_name or place.get("locationName", name)] = (name, place, is_flat)
    for child in element:
        # What every answer of the protocols has beside its members.
        if child.tag in ("ResponseMetadata", "requestId") and child.tag not in places:
            continue
        if child.tag not in places:
            misfits.append(f"{element.tag}.{child.tag} is not in the model")
            continue
        name, place, is_flat = places[child.tag]
        if is_flat:
            item = model.shape(place["shape"])["member"]
            found.setdefault(name, []).append(read(model, item, child, misfits))
        elif name in found:
            misfits.append(f"{element.tag}.{child.tag} is there twice")
        else:
            found[name] = read(model, place, child, misfits)
    return found


def read(model, place, element, misfits):
    shape = model.shape(place["shape"])
    kind, text = shape["type"], element.text or ""
    if kind == "structure":
        return read_structure(model, shape, element, misfits)
    if kind == "list":
        name = shape["member"].get("locationName", "member")
        misfits.extend(f"{element.tag}.{child.tag} is no item" for child in element if child.tag != name)
        return [read(model, shape["member"], child, misfits) for child in element]
    if kind == "map":
        names = [shape[one].get("locationName", one) for one in ("key", "value")]
        return {
            entry.findtext(names[0]): read(model, shape["value"], entry.find(names[1]), misfits) for entry in element
        }
    try:
        return {
            "integer": int,
            "long": int,
            "double": float,
            "float": float,
            "boolean": lambda text: {"true": True, "false": False}[text],
            "timestamp": lambda text: datetime.datetime.fromisoformat(text).timestamp(),
        }.get(kind, str)(text)
    except (ValueError, KeyError):
        # It is held against the model as the text that it is.
        return text


def parse(body):
    return xml.etree.ElementTree.fromstring(body)
