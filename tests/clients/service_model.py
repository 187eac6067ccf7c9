"""A service's model as botocore has it: values that its shapes take, values that break one constraint, and answers held against it.

Nothing here knows what an operation means.
"""

import math
import re

import botocore.loaders

# How often a shape may be within itself in a value that is made up.
NESTING_MAX = 2
# Lengths from which on a text that is too long would be too long to send.
LENGTH_MAX = 100_000


class ServiceModel:
    def __init__(self, service):
        self.model = botocore.loaders.Loader().load_service_model(service, "service-2")
        self.metadata = self.model["metadata"]
        self.operations = self.model["operations"]
        # In a form everything is text: a number is one as well as another, null and an empty structure are nothing.
        self.is_form = self.metadata["protocol"] in ("query", "ec2")

    def shape(self, name):
        return self.model["shapes"][name]

    def input(self, operation):
        return self.operations[operation].get("input", {}).get("shape")

    def output(self, operation):
        return self.operations[operation].get("output", {}).get("shape")

    def errors(self, operation):
        return {error["shape"] for error in self.operations[operation].get("errors", [])}

    def error_codes(self, operation):
        """The codes that stand for an operation's errors in XML."""
        return {self.shape(name).get("error", {}).get("code", name) for name in self.errors(operation)}

    def required(self, name, above=()):
        """A value of a shape with what is required and no more."""
        shape = self.shape(name)
        if shape["type"] == "structure":
            names = shape.get("required", [])
            if shape.get("union"):
                # The one that needs least.
                names = names or [min(shape["members"], key=lambda one: above.count(shape["members"][one]["shape"]))]
            return {one: self.required(shape["members"][one]["shape"], (*above, name)) for one in names}
        if shape["type"] == "list":
            item = shape["member"]["shape"]
            return [self.required(item, (*above, name)) for _ in range(shape.get("min", 0))]
        if shape["type"] == "map":
            count = range(shape.get("min", 0))
            return {f"k{index}": self.required(shape["value"]["shape"], (*above, name)) for index in count}
        return self.scalar(shape)

    def whole(self, name, above=()):
        """A value of a shape with every member that it can have, and one item in each list."""
        shape = self.shape(name)
        if shape["type"] == "structure":
            members = shape["members"]
            if shape.get("union"):
                members = dict([next(iter(members.items()))])
            within = (*above, name)
            return {
                one: self.whole(of["shape"], within)
                for one, of in members.items()
                if one in shape.get("required", []) or within.count(of["shape"]) < NESTING_MAX
            }
        if shape["type"] == "list":
            return [self.whole(shape["member"]["shape"], (*above, name)) for _ in range(max(1, shape.get("min", 0)))]
        if shape["type"] == "map":
            return {self.scalar(self.shape(shape["key"]["shape"])): self.whole(shape["value"]["shape"], (*above, name))}
        return self.scalar(shape)

    def drawn(self, name, random, texts, above=()):
        """A value of a shape whose members, lengths, numbers and texts are drawn: of texts, those that mean something somewhere."""
        shape = self.shape(name)
        kind, within = shape["type"], (*above, name)
        if kind == "structure":
            members = shape["members"]
            if shape.get("union"):
                members = dict([random.choice(list(members.items()))])
            return {
                one: self.drawn(of["shape"], random, texts, within)
                for one, of in members.items()
                if one in shape.get("required", [])
                or shape.get("union")
                or (random.random() < 0.3 and within.count(of["shape"]) < NESTING_MAX)
            }
        if kind == "list":
            count = max(shape.get("min", 0), random.choice((0, 1, 1, 2)))
            return [self.drawn(shape["member"]["shape"], random, texts, within) for _ in range(count)]
        if kind == "map":
            return {random.choice(texts): self.drawn(shape["value"]["shape"], random, texts, within) for _ in range(2)}
        if kind == "string":
            return random.choice(shape.get("enum", texts))
        if kind == "boolean":
            return random.random() < 0.5
        if kind == "timestamp":
            return random.choice((0, 1_800_000_000, 1_700_000_000.5))
        if kind in ("integer", "long"):
            return random.choice((0, 1, 1, 2, 10, 60, 100, 256, 512, -1, 2**31 - 1))
        if kind in ("double", "float"):
            return random.choice((0.0, 0.5, 50.0, 100.0, -1.0, 1e300))
        return self.scalar(shape)

    def scalar(self, shape):
        kind, least = shape["type"], shape.get("min")
        if kind in ("string", "blob"):
            if "enum" in shape:
                return shape["enum"][0]
            for text in ("abcd", "ami-1", "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/0ec5"):
                text = (text * math.ceil((least or 1) / len(text)))[: shape.get("max", LENGTH_MAX)]
                if "pattern" not in shape or matches(shape["pattern"], text):
                    return text
            raise AssertionError(f"no text is known for {shape}")
        if kind in ("integer", "long"):
            return max(least or 1, 1)
        if kind in ("double", "float"):
            return float(max(least or 1, 1))
        return {"boolean": False, "timestamp": 1_800_000_000}[kind]

    def violations(self, operation):
        """Each place within an operation's input with each of its constraints broken: the path, the rule, and the value.

        A path has names of members, `[]` for an item of a list and `{}` for a value of a map; the value is that of the whole path, with
        nothing around what is broken but what is required.
        """
        for path, rule, value in self.broken(self.input(operation), ()):
            # A form as a whole can be no other kind.
            if path or not self.is_form:
                yield path, rule, value

    def broken(self, name, above):
        shape = self.shape(name)
        kind = shape["type"]
        if shape.get("document") or above.count(name) >= NESTING_MAX:
            return
        within = (*above, name)
        for rule, value in self.broken_here(shape):
            yield (), rule, value
        if kind == "structure":
            for one in shape.get("required", []):
                rest = self.required(name, above)
                del rest[one]
                if self.is_form and above and not rest:
                    continue
                yield (one,), "required", rest
                if not self.is_form:
                    yield (one,), "required, null", rest | {one: None}
            for one, of in shape["members"].items():
                around = {} if shape.get("union") else self.required(name, above)
                for path, rule, value in self.broken(of["shape"], within):
                    yield (one, *path), rule, around | {one: value}
        if kind == "list":
            for path, rule, value in self.broken(shape["member"]["shape"], within):
                yield ("[]", *path), rule, [value] * max(1, shape.get("min", 0))
        if kind == "map":
            key = self.scalar(self.shape(shape["key"]["shape"]))
            for rule, broken in self.broken_here(self.shape(shape["key"]["shape"])):
                if isinstance(broken, str):
                    yield ("{}",), f"key: {rule}", {broken: self.required(shape["value"]["shape"], within)}
            for path, rule, value in self.broken(shape["value"]["shape"], within):
                yield ("{}", *path), rule, {key: value}

    def broken_here(self, shape):
        """Values that break a constraint of this shape itself."""
        kind, least, most = shape["type"], shape.get("min"), shape.get("max")
        wrong = {
            "structure": ["text", []],
            "list": ["text", {}],
            "map": ["text", []],
            "string": [7, True, {}],
            "blob": [7],
            "integer": ["text", 1.5, 2**31, True, [1]],
            "long": ["text", 1.5, 2**63],
            "double": ["text", True],
            "float": ["text", True],
            "boolean": ["true", 1],
            "timestamp": ["no moment", True, {}],
        }[kind]
        if self.is_form:
            wrong = {
                "structure": ["text"],
                "list": ["text"],
                "map": ["text"],
                "string": [["a"]],
                "blob": [["a"]],
                "integer": ["text", 1.5, 2**31, True, [1]],
                "long": ["text", 1.5, 2**63, [1]],
                "double": ["text", True, [1.0]],
                "float": ["text", True, [1.0]],
                "boolean": ["perhaps", [True]],
                "timestamp": ["no moment", True, ["a"]],
            }[kind]
        yield from (("type", value) for value in wrong)
        if shape.get("union"):
            members = shape["members"]
            yield "none of a union", {}
            if len(members) > 1:
                yield "two of a union", {one: self.required(of["shape"]) for one, of in list(members.items())[:2]}
        if kind in ("string", "blob"):
            text = self.scalar(shape)
            if "enum" in shape:
                yield "enum", "NONE_OF_THESE"
                yield "enum, other case", text.swapcase()
                yield "enum, empty", ""
            elif least:
                yield "length under", text[: least - 1] if least > 1 else ""
            if most and most < LENGTH_MAX:
                yield "length over", "a" * (most + 1)
            if "pattern" in shape:
                bad = [text for text in ("ab\x01c", "a|b!", "") if not matches(shape["pattern"], text)]
                yield "pattern", bad[0]
        if kind in ("integer", "long", "double", "float"):
            if least is not None:
                yield "range under", least - 1
            if most is not None and most < 2**31 - 1:
                yield "range over", most + 1
        if kind == "list":
            item = self.required(shape["member"]["shape"])
            # EC2's forms have no way to write an empty list.
            if least and (least > 1 or self.metadata["protocol"] != "ec2"):
                yield "length under", [item] * (least - 1)
            if most is not None and most < LENGTH_MAX:
                yield "length over", [item] * (most + 1)
        if kind == "map":
            value = self.required(shape["value"]["shape"])
            if most is not None and most < LENGTH_MAX:
                yield "length over", {f"k{index}": value for index in range(most + 1)}

    def misfits(self, name, value, path="answer"):
        """What of an answer is not as its shape has it."""
        shape = self.shape(name)
        kind = shape["type"]
        if shape.get("document"):
            return
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right = {
            "structure": isinstance(value, dict),
            "list": isinstance(value, list),
            "map": isinstance(value, dict),
            "string": isinstance(value, str),
            "blob": isinstance(value, str),
            "integer": is_number and isinstance(value, int) and -(2**31) <= value < 2**31,
            "long": is_number and isinstance(value, int),
            "double": is_number,
            "float": is_number,
            "timestamp": is_number and 0 <= value < 10_000_000_000,
            "boolean": isinstance(value, bool),
        }[kind]
        if not right:
            yield f"{path}: {value!r} is no {kind}"
        elif kind == "structure":
            for one in shape.get("required", []):
                if one not in value:
                    yield f"{path}.{one} is missing"
            for one, of in value.items():
                if one not in shape["members"]:
                    yield f"{path}.{one} is not in the model"
                else:
                    yield from self.misfits(shape["members"][one]["shape"], of, f"{path}.{one}")
        elif kind == "list":
            for index, of in enumerate(value):
                yield from self.misfits(shape["member"]["shape"], of, f"{path}[{index}]")
        elif kind == "map":
            for key, of in value.items():
                yield from self.misfits(shape["value"]["shape"], of, f"{path}.{key}")
        elif kind == "string" and "enum" in shape and value not in shape["enum"]:
            yield f"{path}: {value!r} is not of {shape['enum']}"


def matches(pattern, text):
    """Whether a text is as a pattern has it. The patterns are Java's, and Python lacks these classes."""
    for java, here in [(r"\p{L}", "a-zA-Z"), (r"\p{Z}", " "), (r"\p{N}", "0-9"), (r"\p{Print}", r"[\x20-\x7e]")]:
        pattern = pattern.replace(java, here)
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    return re.fullmatch(pattern, text) is not None
