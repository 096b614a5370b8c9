package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gobwas/glob"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The libraries that Argo CD opens for scripts of its ConfigMap: no strings, no input or output.
var libraries = map[string]lua.LGFunction{
	lua.LoadLibName: lua.OpenPackage,
	lua.BaseLibName: lua.OpenBase,
	lua.TabLibName:  lua.OpenTable,
}

// A script of Argo CD has one second.
const patience = time.Second

// customizations is `resource.customizations` of argocd-cm, by group and kind; a key may be a pattern.
type customizations map[string]customization

type customization struct {
	Health    string            `json:"health"`
	Discovery string            `json:"discovery"`
	Actions   map[string]string `json:"actions"`
}

type action struct {
	Disabled bool           `json:"disabled"`
	Result   map[string]any `json:"result"`
}

func (all customizations) health(object *unstructured.Unstructured) (string, string, error) {
	said, err := run(all.healthScript(object), object)
	if err != nil {
		return "", "", err
	}
	table, ok := said.(map[string]any)
	if !ok {
		return "", "", fmt.Errorf("health.lua returned %T", said)
	}
	status, _ := table["status"].(string)
	message, _ := table["message"].(string)
	return status, message, nil
}

// healthScript takes the script of the very kind first, then one of a pattern that matches.
func (all customizations) healthScript(object *unstructured.Unstructured) string {
	key := keyOf(object)
	if exact := all[key].Health; exact != "" {
		return exact
	}
	for pattern, candidate := range all {
		if glob.MustCompile(pattern).Match(key) && candidate.Health != "" {
			return candidate.Health
		}
	}
	return `return {status = "none", message = "no script is for this kind"}`
}

// actionsOf runs every action, so that what it would make of the object can be seen, also where it is not offered.
func (all customizations) actionsOf(object *unstructured.Unstructured) (map[string]action, error) {
	known, found := all[keyOf(object)], map[string]action{}
	if known.Discovery == "" {
		return found, nil
	}
	said, err := run(known.Discovery, object)
	if err != nil {
		return nil, err
	}
	offered, _ := said.(map[string]any)
	for name, given := range offered {
		attributes, _ := given.(map[string]any)
		disabled, _ := attributes["disabled"].(bool)
		after, err := run(known.Actions[name], object)
		if err != nil {
			return nil, fmt.Errorf("action %s: %w", name, err)
		}
		result, ok := mended(after, object.Object).(map[string]any)
		if !ok {
			return nil, fmt.Errorf("action %s returned %T", name, after)
		}
		found[name] = action{disabled, result}
	}
	return found, nil
}

func keyOf(object *unstructured.Unstructured) string {
	kind := object.GroupVersionKind()
	return kind.Group + "/" + kind.Kind
}

func run(script string, object *unstructured.Unstructured) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range libraries {
		call := lua.P{Fn: state.NewFunction(open), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	bounded, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	state.SetContext(bounded)
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	return fromLua(state.Get(-1)), nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch given := value.(type) {
	case bool:
		return lua.LBool(given)
	case int64:
		return lua.LNumber(given)
	case float64:
		return lua.LNumber(given)
	case string:
		return lua.LString(given)
	case []any:
		list := state.NewTable()
		for _, item := range given {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for key, item := range given {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

// fromLua cannot tell an empty list from an empty table: it is a list, as with Argo CD.
func fromLua(value lua.LValue) any {
	switch given := value.(type) {
	case lua.LBool:
		return bool(given)
	case lua.LNumber:
		return float64(given)
	case lua.LString:
		return string(given)
	case *lua.LTable:
		return fromTable(given)
	}
	return nil
}

func fromTable(table *lua.LTable) any {
	list, named := []any{}, map[string]any{}
	table.ForEach(func(key, item lua.LValue) {
		if name, ok := key.(lua.LString); ok {
			named[string(name)] = fromLua(item)
		} else {
			list = append(list, fromLua(item))
		}
	})
	if len(named) > 0 {
		return named
	}
	return list
}

// mended gives back the empty tables that became lists on their way through Lua, as Argo CD does.
func mended(after, before any) any {
	switch was := before.(type) {
	case map[string]any:
		if list, ok := after.([]any); ok && len(list) == 0 {
			return was
		}
		if now, ok := after.(map[string]any); ok {
			for key := range now {
				now[key] = mended(now[key], was[key])
			}
		}
	case []any:
		if now, ok := after.([]any); ok && len(now) == len(was) {
			for index := range now {
				now[index] = mended(now[index], was[index])
			}
		}
	}
	return after
}
