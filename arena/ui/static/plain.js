// A page that is only to be read: its header and nothing else.
element.querySelector('.ia').replaceChildren(buildHeader(props.value).header);
