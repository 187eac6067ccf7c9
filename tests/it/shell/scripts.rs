//! Scripts with what they write to standard output and their exit code, as dash 0.5.12 or busybox 1.35 has it; but for the exit code of a
//! script that a signal ends, which is the one that its container has.

/// Scripts for `sh -c`.
pub const SCRIPTS: &[(&str, &str, i32)] = &[
    ("echo hello && exit 0", "hello\n", 0),
    ("echo hi; exit 3", "hi\n", 3),
    ("false || echo or; true && echo and; ! false && echo not; false; echo $?", "or\nand\nnot\n1\n", 0),
    (
        r#"A=1 B="x y"; echo $A "$B" ${C:-default} ${A:+set} ${#B} ${B%% *} ${B#* } "${C-}" ${D:=new} $D"#,
        "1 x y default set 3 x y  new new\n",
        0,
    ),
    (
        r#"x="a  b   c"; echo $x; echo "$x"; set -- $x; echo $#; for i; do echo "<$i>"; done"#,
        "a b c\na  b   c\n3\n<a>\n<b>\n<c>\n",
        0,
    ),
    (
        r#"set -- "a b" c; for i in "$@"; do echo "[$i]"; done; for i in $*; do echo "($i)"; done; echo "$*"; shift; echo $1 $#"#,
        "[a b]\n[c]\n(a)\n(b)\n(c)\na b c\nc 1\n",
        0,
    ),
    (
        "for i in 1 2 3; do if [ $i -eq 2 ]; then continue; fi; echo $i; done; i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && break; done; echo $i; until false; do break; done",
        "1\n3\n2\n",
        0,
    ),
    (
        "echo $((1+2*3)) $(( (1+2)*3 )) $((7/2)) $((7%3)) $((1<<4)) $((5>3&&2>1)) $((-5)) $((!0)) $((0x10)) $((010)); x=5; echo $((x+=2)) $x $((x>3?1:2))",
        "7 9 3 1 16 1 -5 1 16 8\n7 7 1\n",
        0,
    ),
    (
        r#"echo "$(echo a; echo b)" `echo c` $(printf 'd\n\n'); x=$(exit 4); echo $?; echo $(echo $(echo deep))"#,
        "a\nb c d\n4\ndeep\n",
        0,
    ),
    (
        "case foo.txt in *.md) echo md;; *.txt|*.text) echo text;; *) echo other;; esac; case x in [a-c]) echo 1;; [!a-c]) echo 2;; esac",
        "text\n2\n",
        0,
    ),
    (
        r#"f() { echo "f:$1 $#"; return 7; }; f a b; echo $?; g() { local v=1; echo $v; }; v=0; g; echo $v"#,
        "f:a 2\n7\n1\n0\n",
        0,
    ),
    (
        r#"(x=1; echo in $x; exit 2); echo $? "${x:-unset}"; { echo group; }; cd /tmp; pwd; (cd /; pwd); pwd"#,
        "in 1\n2 unset\ngroup\n/tmp\n/\n/tmp\n",
        0,
    ),
    (
        "echo out; echo err >&2; { echo both; echo e >&2; } 2>&1; echo gone >/dev/null; echo gone >&2 2>/dev/null",
        "out\nboth\ne\n",
        0,
    ),
    ("set -e; false || true; if false; then :; fi; ! true; false && true; echo still; false; echo never", "still\n", 1),
    (r#"set -x; A=1; echo "a b" $A"#, "a b 1\n", 0),
    ("set -u; echo ${x-ok}; echo $x; echo never", "ok\n", 2),
    ("trap 'echo bye $?' EXIT; echo hi; exit 5", "hi\nbye 5\n", 5),
    (
        r#"printf '%s-%d-%05d-%x|%5s|%-5s|%c\n' a 12 42 255 ab cd efg; printf '%s\n' 1 2 3; printf 'a\tb\\n\101%%\n'; printf '%.2s|%3d|%+d\n' abcdef 5 6"#,
        "a-12-00042-ff|   ab|cd   |e\n1\n2\n3\na\tb\\nA%\nab|  5|+6\n",
        0,
    ),
    (
        "echo one > f.txt; echo two >> f.txt; cat f.txt; cat < f.txt | wc -l; wc -l < f.txt; rm f.txt; cat f.txt; echo $?",
        "one\ntwo\n2\n2\n1\n",
        0,
    ),
    ("nosuch; echo $?", "127\n", 0),
    ("/no/such/thing; echo $?", "127\n", 0),
    (
        r#"echo a b c | while read x y; do echo "$y-$x"; done; printf '1\n2\n3\n' | { read a; read b; echo $a$b; }"#,
        "b c-a\n12\n",
        0,
    ),
    (
        r#"seq 5 | head -n 2; seq 5 | tail -n 2; seq 1 2 7 | tr '\n' ' '; echo; printf 'b\na\nc\na\n' | sort | uniq -c"#,
        "1\n2\n4\n5\n1 3 5 7 \n      2 a\n      1 b\n      1 c\n",
        0,
    ),
    ("yes | head -n 3; yes no | head -n1", "y\ny\ny\nno\n", 0),
    (
        r#"cat <<EOF
x is ${x:-none} $((1+1))
$(echo sub)
EOF
cat <<'EOF'
raw $x
EOF"#,
        "x is none 2\nsub\nraw $x\n",
        0,
    ),
    (
        r#"[ -z "" ] && echo empty; [ -n x -a 1 -lt 2 ] && echo both; [ a = b -o c = c ] && echo either; test -d / && echo dir; [ ! -e /nope ] && echo no; [ x ] && echo word; [ "" ] || echo blank"#,
        "empty\nboth\neither\ndir\nno\nword\nblank\n",
        0,
    ),
    (r#"expr 1 + 2 \* 3; expr 10 / 3; expr abc : 'a\(.*\)'; expr 2 \> 1; expr 0; echo $?"#, "7\n3\nbc\n1\n0\n1\n", 0),
    (
        "mkdir -p a/b; touch a/b/c a/d; ls a; ls a/b; echo a/*; echo nope*; rmdir a/b; echo $?; rm -r a; ls a; echo $?",
        "b\nd\nc\na/b a/d\nnope*\n1\n1\n",
        0,
    ),
    (
        r#"IFS=:; x=a:b::c; for i in $x; do echo "<$i>"; done; IFS=,; set -- 1 2; echo "$*""#,
        "<a>\n<b>\n<>\n<c>\n1,2\n",
        0,
    ),
    ("eval 'echo $((1+1))'; x='echo evald'; $x; exec echo replaced; echo never", "2\nevald\nreplaced\n", 0),
    (
        "sh -c 'echo $0 $1 $#' name arg; sh -c 'exit 9'; echo $?; sh -c 'echo $X'; X=1 sh -c 'echo $X'; export Y=2; sh -c 'echo $Y'",
        "name arg 1\n9\n\n1\n2\n",
        0,
    ),
    (
        "sleep 0.01 && echo slept; sleep 0.01 & wait; echo waited; sleep 0.01 & wait $!; echo $?",
        "slept\nwaited\n0\n",
        0,
    ),
    (
        r#"echo if then done; echo "a'b" 'c"d' a\ b; echo \$HOME "\$x" '$x'"#,
        "if then done\na'b c\"d a b\n$HOME $x $x\n",
        0,
    ),
    ("x=1; x=2 true; echo $x; y=3 eval 'echo $y'; A=$(echo 1)$(echo 2); echo $A", "1\n3\n12\n", 0),
    ("while true; do while true; do break 2; done; echo no; done; echo out", "out\n", 0),
    ("echo ${x:?must be set}; echo never", "", 2),
    (
        r#"if true; then
echo multi
fi
for i in a \
 b
do
 echo $i
done"#,
        "multi\na\nb\n",
        0,
    ),
    ("true | false; echo $?; false | true; echo $?; ! true | false; echo $?", "1\n0\n0\n", 0),
    (
        "basename /a/b.txt .txt; dirname /a/b.txt; dirname x; basename /; echo abc | cut -c2-; echo a:b:c | cut -d: -f2,3; echo HeLLo | tr 'A-Z' 'a-z'; echo aab | tr -d a",
        "b\n/a\n.\n/\nbc\nb:c\nhello\nb\n",
        0,
    ),
    (
        r#"printf 'x=1\ny=2\nxy=3\n' | grep '^x'; printf 'abc\n' | grep -q b && echo found; printf 'abc\n' | grep -c z; echo a.b | grep -F '.'; echo 'foo123' | grep -oE '[0-9]+'; printf 'A\nb\n' | grep -vi a; echo $?"#,
        "x=1\nxy=3\nfound\n0\na.b\n123\nb\n0\n",
        0,
    ),
    ("command -v cd; command -v nosuch; echo $?; type f 2>/dev/null; echo done", "cd\n127\nf: not found\ndone\n", 0),
    (
        "trap 'echo got' TERM; kill -TERM $$; echo after; trap - TERM; trap '' TERM; kill $$; echo ignored",
        "got\nafter\nignored\n",
        0,
    ),
    ("kill $$; echo never", "", 143),
    ("if [ 1 -eq x ]; then echo y; else echo n; fi", "n\n", 0),
    (
        r#"echo "a
b"; x='multi
line'; echo "$x"; echo $x"#,
        "a\nb\nmulti\nline\nmulti line\n",
        0,
    ),
    ("fi", "", 2),
    ("echo 'unterminated", "", 2),
    (r#"a=; [ -z $a ] && echo unset; echo "${a:-d}" "${a-d}"; unset a; echo "${a-d}""#, "unset\nd \nd\n", 0),
    (
        r#"set -- -a -b val rest; while getopts ab: o; do echo "$o ${OPTARG:-}"; done; echo $OPTIND"#,
        "a \nb val\n4\n",
        0,
    ),
    ("readonly r=1; (r=2); echo $?; echo $r", "2\n1\n", 0),
    (r#"echo /et[c] /tm? ; echo '*' "*"; cd /etc && echo hostn*"#, "/etc /tmp\n* *\nhostname\n", 0),
    ("echo a >nodir/x; echo $?; cat </nope; echo $?", "1\n1\n", 0),
    (
        "date -u -d @86399 '+%Y-%m-%d %H:%M:%S %j %a %b'; date -u -d @1709164800 +%F",
        "1970-01-01 23:59:59 001 Thu Jan\n2024-02-29\n",
        0,
    ),
    (r#"n=3; while [ "$n" -gt 0 ]; do printf '%s ' "$n"; n=$((n-1)); done; echo; echo $n"#, "3 2 1 \n0\n", 0),
    (
        "x=abc.tar.gz; echo ${x%.*} ${x%%.*} ${x#*.} ${x##*.}; p=/usr/lib; echo ${p##*/} ${p%/*}",
        "abc.tar abc tar.gz gz\nlib /usr\n",
        0,
    ),
    (r#"echo "exit in pipe" | (read a b; echo $b; exit 3); echo $?"#, "in pipe\n3\n", 0),
    ("f() { for i in 1 2; do return $i; done; }; f; echo $?; f && echo no || echo yes", "1\nyes\n", 0),
    (r#"echo -n x; echo -e 'a\tb'; echo -- y"#, "xa\tb\n-- y\n", 0),
    ("env -i A=1 sh -c 'echo $A'; A=2 env | grep ^A=; env B=3 printenv B; printenv NOPE; echo $?", "1\nA=2\n3\n1\n", 0),
    (
        "test 1 = 1 -a '(' 2 = 3 -o 4 = 4 ')' && echo yes; [ '!' = '!' ] && echo bang; [ ! ] || echo lone",
        "yes\nbang\n",
        0,
    ),
];
