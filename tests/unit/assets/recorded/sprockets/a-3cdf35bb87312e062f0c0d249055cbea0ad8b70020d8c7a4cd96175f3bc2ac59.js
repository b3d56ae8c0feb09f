alert(1)
;
