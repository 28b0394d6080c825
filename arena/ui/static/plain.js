// A page that is only to be read: its header, and on the About page the choice to be named.
element.querySelector('.ia').replaceChildren(buildHeader(props.value).header);
if (props.value.here === 'about') showStatus();
if (props.value.here === 'about') showVoterId();
if (props.value.here === 'about' && canSignIn()) offerNaming();
